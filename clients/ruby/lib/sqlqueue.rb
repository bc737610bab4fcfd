# frozen_string_literal: true

require "digest"
require "json"

# Pushes jobs to sqlqueue in your own transaction, and runs them in a process that serves many.
module Sqlqueue
  # A job that runs. attempts is 1 for the first run; trace is a W3C traceparent, or nil.
  Job = Struct.new(:id, :queue, :name, :attempts, :data, :trace, keyword_init: true)

  # A handler raises one of its kinds to say what becomes of its job.
  class Outcome < StandardError
    attr_reader :answer

    def initialize(answer)
      super(answer[:error] || answer[:outcome])
      @answer = answer.compact
    end
  end

  # The job runs again after so many seconds. Without a delay it waits as after an error.
  class Release < Outcome
    def initialize(delay = nil) = super(outcome: "release", delay: delay)
  end

  # The same, but the attempt does not count.
  class Snooze < Outcome
    def initialize(delay) = super(outcome: "snooze", delay: delay)
  end

  # The job moves to the failed jobs, whatever tries it has left.
  class Fail < Outcome
    def initialize(reason) = super(outcome: "fail", error: reason.to_s)
  end

  # The job is deleted without being done.
  class Discard < Outcome
    def initialize = super(outcome: "discard")
  end

  # How each database writes a time that is so many microseconds from now.
  LATER = {
    sqlite: "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER) + ?",
    postgres: "clock_timestamp() + %s::bigint * interval '1 microsecond'",
    mysql: "UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND"
  }.freeze
  private_constant :LATER

  class << self
    # Pushes a job in the connection's transaction, which stays open: the job is there when you commit.
    #
    # The connection is a PG::Connection, a Mysql2::Client or a SQLite3::Database. The delay is in seconds; a smaller priority runs
    # first. The prefix and, on PostgreSQL, the schema are those of the tables. Settings are the payload's: tries, timeout, backoff,
    # max_exceptions, keep, retry_until, then, catch.
    #
    # Returns the job's id, or nil if the queue has a job with the unique key already.
    def push(connection, name, data = nil,
             queue: "default", priority: 0, delay: 0, unique: nil, prefix: "", schema: "", **settings)
      raise ArgumentError, "a table prefix has letters, digits and underscores: #{prefix}" unless prefix.match?(/\A[A-Za-z0-9_]*\z/)

      family = family_of(connection)
      raise ArgumentError, "only PostgreSQL has schemas" if schema != "" && family != :postgres
      raise ArgumentError, "a schema has at most 63 letters, digits and underscores: #{schema}" unless schema.match?(/\A[A-Za-z0-9_]{0,63}\z/)

      columns = %w[queue priority payload unique_key]
      values = [queue, priority, JSON.generate({ job: name, data: data, **settings }), unique]
      places = (1..4).map { |n| place(family, n) }
      if delay.positive?
        columns << "available_at"
        values << (delay * 1_000_000).to_i
        places << format(LATER[family], place(family, 5))
      end
      table = "#{%("#{schema}".) unless schema.empty?}#{prefix}jobs"
      sql = "INSERT INTO #{table} (#{columns.join(', ')}) VALUES (#{places.join(', ')})"
      if unique
        # With LAST_INSERT_ID the id of a duplicate is 0.
        sql += family == :mysql ? " ON DUPLICATE KEY UPDATE id = id + LAST_INSERT_ID(0)" : " ON CONFLICT DO NOTHING"
      end
      send(family, connection, sql, values, channel(schema, prefix))
    end

    # Runs jobs for `sqlqueue work --exec 'ruby worker.rb' --reuse`, until the worker wants no more.
    #
    # handlers is a callable for all jobs, or a hash with a callable for each name. One that returns has done its job; an exception
    # is the job's error. What is printed goes to the worker's log.
    def serve(handlers)
      raise "start this program by: sqlqueue work --exec '…' --reuse" unless ENV["SQLQUEUE_REUSE"]

      $stdout.flush
      answers = $stdout.dup
      $stdout.reopen($stderr) # standard output is for answers alone, also in programs that a handler starts
      $stdout.sync = answers.sync = true
      $stdin.set_encoding(Encoding::UTF_8)
      $stdin.each_line do |line|
        job = Job.new(**JSON.parse(line).slice(*Job.members.map(&:to_s)).transform_keys(&:to_sym))
        answers.puts(JSON.generate({ id: job.id, **run(handlers, job) }))
      end
    end

    private

    def family_of(connection)
      families = { "PG::Connection" => :postgres, "Mysql2::Client" => :mysql, "SQLite3::Database" => :sqlite }
      families.values_at(*connection.class.ancestors.map(&:name)).compact.first ||
        raise(ArgumentError, "sqlqueue does not know connections of #{connection.class}")
    end

    def channel(schema, prefix)
      name = "#{"#{schema}." unless schema.empty?}#{prefix}sqlqueue"
      longest = 63 # of PostgreSQL
      name.length <= longest ? name : "sqlqueue.#{Digest::SHA256.hexdigest(name)[0, 32]}"
    end

    def place(family, number) = family == :postgres ? "$#{number}" : "?"

    def postgres(connection, sql, values, channel)
      row = connection.exec_params("#{sql} RETURNING id", values).first
      connection.exec_params("SELECT pg_notify($1, $2)", [channel, values[0]]) # wakes the workers at the commit
      row && row["id"].to_i
    end

    def mysql(connection, sql, values, _channel)
      statement = connection.prepare(sql)
      statement.execute(*values)
      statement.last_id.nonzero?
    ensure
      statement&.close
    end

    def sqlite(connection, sql, values, _channel)
      connection.execute(sql, values)
      connection.changes == 1 ? connection.last_insert_row_id : nil
    end

    def run(handlers, job)
      handler = handlers.respond_to?(:call) ? handlers : handlers[job.name]
      return { outcome: "error", error: "no handler for #{job.name}" } unless handler

      handler.call(job)
      { outcome: "done" }
    rescue Outcome => e
      e.answer
    rescue StandardError, ScriptError => e # what ends the process (SystemExit, Interrupt) does
      warn e.full_message(highlight: false)
      { outcome: "error", error: "#{e.class}: #{e.message}".scrub[0, 2000] }
    end
  end
end
