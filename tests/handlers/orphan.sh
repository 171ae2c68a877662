#!/no/such/interpreter
# orphan.sh - its interpreter is not there.
