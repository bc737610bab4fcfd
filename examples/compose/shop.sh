# A shop's orders, each of which is a job.
order=0
while order=$((order + 1)); do
    psql --quiet --set ON_ERROR_STOP=1 --set order="$order" <<'SQL' || exit
INSERT INTO jobs (queue, payload)
VALUES ('orders', json_build_object('job', 'send_invoice', 'data', json_build_object('order_id', :order)));
INSERT INTO jobs (payload, available_at)
VALUES (json_build_object('job', 'ask_for_review', 'data', json_build_object('order_id', :order), 'tries', 3), now() + interval '20 seconds');
SELECT pg_notify('sqlqueue', 'orders') \g /dev/null
SQL
    sleep 1
done
