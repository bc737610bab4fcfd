BEGIN;

INSERT INTO orders (id, total) VALUES (42, 990);

-- There if and only if the order is.
INSERT INTO jobs (queue, payload) VALUES ('orders', '{"job": "send_invoice", "data": {"order_id": 42}}');

-- In ten minutes.
INSERT INTO jobs (queue, payload, available_at)
VALUES ('orders', '{"job": "ask_for_review", "data": {"order_id": 42}}', now() + interval '10 minutes');

-- Before the others of its queue, with settings of its own: durations are seconds.
INSERT INTO jobs (queue, priority, payload)
VALUES ('orders', -5, json_build_object(
    'job', 'charge', 'data', json_build_object('order_id', 42),
    'tries', 3, 'timeout', 30, 'backoff', json_build_array(1, 5, 10)));

-- Not if the queue has a job with this key already.
INSERT INTO jobs (queue, payload, unique_key) VALUES ('orders', '{"job": "count_stock", "data": 7}', 'stock-7')
ON CONFLICT DO NOTHING;

-- Wakes the workers that wait, at the commit. Without it they look by themselves, at the latest after --sleep.
-- With a table prefix, it stands before the channel's name, too; before it --schema, with a dot: 'queue.sqlqueue'.
SELECT pg_notify('sqlqueue', 'orders');

COMMIT;
