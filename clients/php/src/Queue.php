<?php

declare(strict_types=1);

namespace Sqlqueue;

use InvalidArgumentException;
use PDO;

/** Pushes jobs over a connection of PDO, in its transaction if it has one. */
final class Queue
{
    /** How each database writes a time that is so many microseconds from now. */
    private const LATER = [
        'sqlite' => "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER) + CAST(? AS INTEGER)",
        'pgsql' => "clock_timestamp() + CAST(? AS bigint) * interval '1 microsecond'",
        'mysql' => 'UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND',
    ];

    private string $driver;
    private string $table;
    private string $channel;

    /** The prefix and, on PostgreSQL, the schema are those of the tables. */
    public function __construct(private PDO $pdo, string $prefix = '', string $schema = '')
    {
        $this->driver = $pdo->getAttribute(PDO::ATTR_DRIVER_NAME);
        if (!isset(self::LATER[$this->driver])) {
            throw new InvalidArgumentException("sqlqueue does not know PDO's driver {$this->driver}");
        }
        if (!preg_match('/\A[A-Za-z0-9_]*\z/', $prefix)) {
            throw new InvalidArgumentException("a table prefix has letters, digits and underscores: $prefix");
        }
        if ($schema !== '' && $this->driver !== 'pgsql') {
            throw new InvalidArgumentException('only PostgreSQL has schemas');
        }
        if (!preg_match('/\A[A-Za-z0-9_]{0,63}\z/', $schema)) {
            throw new InvalidArgumentException("a schema has at most 63 letters, digits and underscores: $schema");
        }
        $this->table = ($schema === '' ? '' : "\"$schema\".") . $prefix . 'jobs';
        $channel = ($schema === '' ? '' : "$schema.") . $prefix . 'sqlqueue';
        $longest = 63; // of PostgreSQL
        $this->channel = strlen($channel) <= $longest ? $channel : 'sqlqueue.' . substr(hash('sha256', $channel), 0, 32);
    }

    /**
     * Pushes a job. The delay is in seconds; a smaller priority runs first. Settings are the payload's: tries, timeout, backoff,
     * max_exceptions, keep, retry_until, then, catch. Returns the job's id, or null if the queue has a job with the unique key already.
     */
    public function push(
        string $name,
        mixed $data = null,
        string $queue = 'default',
        int $priority = 0,
        float $delay = 0,
        ?string $unique = null,
        array $settings = [],
    ): ?int {
        $payload = json_encode(['job' => $name, 'data' => $data] + $settings, JSON_THROW_ON_ERROR);
        $columns = ['queue' => '?', 'priority' => '?', 'payload' => '?', 'unique_key' => '?'];
        $values = [$queue, $priority, $payload, $unique];
        if ($delay > 0) {
            $columns['available_at'] = self::LATER[$this->driver];
            $values[] = (int) ($delay * 1_000_000);
        }
        $sql = "INSERT INTO {$this->table} (" . implode(', ', array_keys($columns)) . ') VALUES (' . implode(', ', $columns) . ')';
        if ($unique !== null) {
            // With LAST_INSERT_ID the id of a duplicate is 0. Its count of rows is 1 where PDO has MYSQL_ATTR_FOUND_ROWS.
            $sql .= $this->driver === 'mysql' ? ' ON DUPLICATE KEY UPDATE id = id + LAST_INSERT_ID(0)' : ' ON CONFLICT DO NOTHING';
        }
        if ($this->driver === 'pgsql') {
            $sql .= ' RETURNING id';
        }
        $statement = $this->pdo->prepare($sql);
        $statement->execute($values);
        if ($this->driver === 'pgsql') {
            $id = $statement->fetchColumn();
            // Wakes the workers at the commit.
            $this->pdo->prepare('SELECT pg_notify(?, ?)')->execute([$this->channel, $queue]);
            return $id === false ? null : (int) $id;
        }
        if ($this->driver === 'mysql') {
            return (int) $this->pdo->lastInsertId() ?: null;
        }
        return $statement->rowCount() === 1 ? (int) $this->pdo->lastInsertId() : null;
    }
}
