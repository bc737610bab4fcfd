<?php

declare(strict_types=1);

namespace Sqlqueue;

use RuntimeException;
use Throwable;

/** Runs jobs for `sqlqueue work --exec 'php worker.php' --reuse`. */
final class Worker
{
    /** @param callable|array<string, callable> $handlers one for all jobs, or one for each name; each gets a Job */
    public function __construct(private $handlers)
    {
    }

    /**
     * Runs jobs until the worker wants no more. A handler that returns has done its job; an exception is the job's error. What
     * handlers print goes to the worker's log.
     */
    public function run(): void
    {
        if (getenv('SQLQUEUE_REUSE') === false) {
            throw new RuntimeException("start this program by: sqlqueue work --exec '…' --reuse");
        }
        ini_set('display_errors', 'stderr');
        // Standard output is for answers alone.
        ob_start(function (string $printed): string {
            fwrite(STDERR, $printed);
            return '';
        }, 1);
        while (($line = fgets(STDIN)) !== false) {
            $is = json_decode($line, true, flags: JSON_THROW_ON_ERROR);
            $job = new Job($is['id'], $is['queue'], $is['name'], $is['attempts'], $is['data'], $is['trace'] ?? null);
            $answer = ['id' => $job->id] + $this->answer($job);
            fwrite(STDOUT, json_encode($answer, JSON_THROW_ON_ERROR | JSON_INVALID_UTF8_SUBSTITUTE) . "\n");
        }
        ob_end_clean();
    }

    /** @return array<string, mixed> */
    private function answer(Job $job): array
    {
        try {
            $handler = is_callable($this->handlers) ? $this->handlers : ($this->handlers[$job->name] ?? null);
            if ($handler === null) {
                return ['outcome' => 'error', 'error' => "no handler for {$job->name}"];
            }
            $handler($job);
            return ['outcome' => 'done'];
        } catch (Outcome $outcome) {
            return $outcome->answer;
        } catch (Throwable $error) {
            fwrite(STDERR, "$error\n");
            return ['outcome' => 'error', 'error' => substr($error::class . ': ' . $error->getMessage(), 0, 2000)];
        }
    }
}
