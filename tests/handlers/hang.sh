#!/bin/sh
# hang.sh - never ends by itself.
sleep 1000
