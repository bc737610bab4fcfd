BEGIN IMMEDIATE;

INSERT INTO orders (id, total) VALUES (42, 990);

-- There if and only if the order is.
INSERT INTO jobs (queue, payload) VALUES ('orders', '{"job": "send_invoice", "data": {"order_id": 42}}');

-- In ten minutes. Times are microseconds since 1970.
INSERT INTO jobs (queue, payload, available_at)
VALUES ('orders', '{"job": "ask_for_review", "data": {"order_id": 42}}', (strftime('%s', 'now') + 600) * 1000000);

-- Before the others of its queue, with settings of its own: durations are seconds.
INSERT INTO jobs (queue, priority, payload)
VALUES ('orders', -5, json_object(
    'job', 'charge', 'data', json_object('order_id', 42),
    'tries', 3, 'timeout', 30, 'backoff', json_array(1, 5, 10)));

-- Not if the queue has a job with this key already.
INSERT INTO jobs (queue, payload, unique_key) VALUES ('orders', '{"job": "count_stock", "data": 7}', 'stock-7')
ON CONFLICT DO NOTHING;

COMMIT;
