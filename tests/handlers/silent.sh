#!/bin/sh
# silent.sh - prints nothing and ends well.
exit 0
