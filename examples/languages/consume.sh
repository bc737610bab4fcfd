data=$(cat)
case $data in
*'"order_id"'*) echo "$SQLQUEUE_JOB_NAME of $SQLQUEUE_JOB_QUEUE, attempt $SQLQUEUE_JOB_ATTEMPTS: $data" ;;
*)
    echo "no order_id in the data" >&2 # the job's error
    exit 65                            # fail for good: no other try helps
    ;;
esac
