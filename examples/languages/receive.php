<?php
function signed(string $body): bool
{
    $id = $_SERVER['HTTP_WEBHOOK_ID'] ?? '';
    $timestamp = $_SERVER['HTTP_WEBHOOK_TIMESTAMP'] ?? '';
    if (!ctype_digit($timestamp) || abs(time() - (int) $timestamp) > 300) {
        return false; // too old: somebody sends it again
    }
    $key = base64_decode(substr(getenv('SECRET'), strlen('whsec_')));
    $want = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$timestamp.$body", $key, true));
    foreach (explode(' ', $_SERVER['HTTP_WEBHOOK_SIGNATURE'] ?? '') as $signature) {
        if (hash_equals($want, $signature)) {
            return true;
        }
    }
    return false;
}

$body = file_get_contents('php://input');
if (!signed($body)) {
    http_response_code(401);
    exit;
}
$job = json_decode($body, true, flags: JSON_THROW_ON_ERROR);
error_log("{$job['name']} of order {$job['data']['order_id']}, attempt {$job['attempts']}");
http_response_code(204); // done; 410 fails for good, anything else is an error
