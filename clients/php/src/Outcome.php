<?php

declare(strict_types=1);

namespace Sqlqueue;

use Exception;

/** A handler throws it to say what becomes of its job. */
final class Outcome extends Exception
{
    /** @param array<string, mixed> $answer */
    private function __construct(public readonly array $answer)
    {
        parent::__construct($answer['error'] ?? $answer['outcome']);
    }

    /** The job runs again after so many seconds. Null: it waits as after an error. */
    public static function release(?float $delay = null): self
    {
        return new self(['outcome' => 'release'] + ($delay === null ? [] : ['delay' => $delay]));
    }

    /** The same, but the attempt does not count. */
    public static function snooze(float $delay): self
    {
        return new self(['outcome' => 'snooze', 'delay' => $delay]);
    }

    /** The job moves to the failed jobs, whatever tries it has left. */
    public static function fail(string $reason): self
    {
        return new self(['outcome' => 'fail', 'error' => $reason]);
    }

    /** The job is deleted without being done. */
    public static function discard(): self
    {
        return new self(['outcome' => 'discard']);
    }
}
