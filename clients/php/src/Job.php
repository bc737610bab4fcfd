<?php

declare(strict_types=1);

namespace Sqlqueue;

/** A job that runs. */
final class Job
{
    /** Attempts is 1 for the first run. Objects in data are arrays. Trace is a W3C traceparent, or null. */
    public function __construct(
        public readonly int $id,
        public readonly string $queue,
        public readonly string $name,
        public readonly int $attempts,
        public readonly mixed $data,
        public readonly ?string $trace = null,
    ) {
    }
}
