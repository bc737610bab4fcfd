<?php
ini_set('display_errors', 'stderr'); // standard output is for answers: no echo here
while (($line = fgets(STDIN)) !== false) {
    $job = json_decode($line, true, flags: JSON_THROW_ON_ERROR);
    $answer = ['id' => $job['id'], 'outcome' => 'done'];
    if (isset($job['data']['order_id'])) {
        fwrite(STDERR, "{$job['name']} of order {$job['data']['order_id']}, attempt {$job['attempts']}\n");
    } else {
        $answer = ['id' => $job['id'], 'outcome' => 'fail', 'error' => 'no order_id in the data'];
    }
    fwrite(STDOUT, json_encode($answer) . "\n");
}
