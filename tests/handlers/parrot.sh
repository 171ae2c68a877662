#!/bin/sh
# parrot.sh - prints its input as it is: any CGI output can be asked for.
exec cat
