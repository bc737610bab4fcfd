START TRANSACTION;

INSERT INTO orders (id, total) VALUES (42, 990);

-- There if and only if the order is.
INSERT INTO jobs (queue, payload) VALUES ('orders', '{"job": "send_invoice", "data": {"order_id": 42}}');

-- In ten minutes. Times are UTC.
INSERT INTO jobs (queue, payload, available_at)
VALUES ('orders', '{"job": "ask_for_review", "data": {"order_id": 42}}', UTC_TIMESTAMP(6) + INTERVAL 10 MINUTE);

-- Before the others of its queue, with settings of its own: durations are seconds.
INSERT INTO jobs (queue, priority, payload)
VALUES ('orders', -5, JSON_OBJECT(
    'job', 'charge', 'data', JSON_OBJECT('order_id', 42),
    'tries', 3, 'timeout', 30, 'backoff', JSON_ARRAY(1, 5, 10)));

-- Not if the queue has a job with this key already.
INSERT INTO jobs (queue, payload, unique_key) VALUES ('orders', '{"job": "count_stock", "data": 7}', 'stock-7')
ON DUPLICATE KEY UPDATE id = id;

COMMIT;
