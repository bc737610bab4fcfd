<?php
$data = json_decode(stream_get_contents(STDIN), true, flags: JSON_THROW_ON_ERROR);
if (!isset($data['order_id'])) {
    fwrite(STDERR, "no order_id in the data\n"); // the job's error
    exit(65); // fail for good: no other try helps
}
$name = getenv('SQLQUEUE_JOB_NAME');
$attempt = getenv('SQLQUEUE_JOB_ATTEMPTS');
echo "$name of order {$data['order_id']}, attempt $attempt\n";
