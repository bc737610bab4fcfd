# Runs a server until standard input ends, which is when the process that holds its other end is gone or closes it.
# In the environment: DIR, PREPARE and SERVE (scripts), STOP (a signal). DIR is removed at the end.
trap 'rm -rf "$DIR"' EXIT
exec 3<&0 </dev/null
eval "$PREPARE" || exit
eval "exec $SERVE" 3<&- &
server=$!
trap '' PIPE # what the shell says of a killed server has no reader when the owner is gone
{ read -r _; kill -s "$STOP" $server; } <&3 2>/dev/null &
watcher=$!
wait $server
status=$?
kill $watcher 2>/dev/null
exit $status
