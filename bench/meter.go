package main

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
)

// meter reads what the server spends. What it cannot know stays 0.
type meter struct {
	db     *sql.DB
	engine string
	pid    int // of the postmaster, or of mariadbd; 0: not on this machine
}

func newMeter(ctx context.Context, db *sql.DB, engine string) *meter {
	m := &meter{db: db, engine: engine}
	switch engine {
	case postgres:
		var backend int
		if db.QueryRowContext(ctx, `SELECT pg_backend_pid()`).Scan(&backend) == nil {
			if parent := stat(backend); parent.name == "postgres" {
				m.pid = parent.parent
			}
		}
	case mariadb:
		var file string
		if db.QueryRowContext(ctx, `SELECT @@pid_file`).Scan(&file) == nil {
			text, _ := os.ReadFile(file)
			m.pid, _ = strconv.Atoi(strings.TrimSpace(string(text)))
		}
	}
	return m
}

// reading is a state of the meter: seconds of CPU time, and bytes of WAL or redo.
type reading struct{ cpu, wal float64 }

func (m *meter) read(ctx context.Context) (r reading) {
	switch m.engine {
	case postgres:
		_ = m.db.QueryRowContext(ctx, `SELECT pg_current_wal_insert_lsn() - '0/0'`).Scan(&r.wal)
	case mariadb:
		var name string
		_ = m.db.QueryRowContext(ctx, `SHOW GLOBAL STATUS LIKE 'Innodb_os_log_written'`).Scan(&name, &r.wal)
	}
	if m.pid != 0 {
		r.cpu = serverCPU(m.pid)
	}
	return r
}

// serverCPU is the CPU time of a process, of its children, and of those that have ended.
func serverCPU(pid int) float64 {
	total := stat(pid).self + stat(pid).ended
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		child, _ := strconv.Atoi(filepath.Base(dir))
		if p := stat(child); p.parent == pid {
			total += p.self
		}
	}
	return total
}

type process struct {
	name        string
	parent      int
	self, ended float64 // seconds of CPU: its own, and of its children that have ended
}

const ticks = 100 // a second: Linux shows no other

func stat(pid int) (p process) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return p
	}
	// pid (name) state ppid …: the name may contain anything.
	open, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	fields := strings.Fields(string(text[end+1:]))
	number := func(i int) float64 {
		n, _ := strconv.ParseFloat(fields[i], 64)
		return n
	}
	p.name, p.parent = string(text[open+1:end]), int(number(1))
	p.self, p.ended = (number(11)+number(12))/ticks, (number(13)+number(14))/ticks
	return p
}

// describe tells what a run stands on.
func describe(ctx context.Context, db *sql.DB, engine string) (lines []string) {
	cpu := "unknown processor"
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			cpu = strings.TrimSpace(value)
			break
		}
	}
	load, _ := os.ReadFile("/proc/loadavg")
	one, _, _ := strings.Cut(string(load), " ")
	lines = append(lines,
		fmt.Sprintf("%s, %d × %s, %s/%s, %s",
			time.Now().UTC().Format("2006-01-02 15:04 MST"), runtime.NumCPU(), cpu, runtime.GOOS, runtime.GOARCH, runtime.Version()),
		"load average when it began: "+one)

	switch engine {
	case postgres:
		lines = append(lines, settings(ctx, db, `SELECT name, current_setting(name) FROM pg_settings WHERE name IN
('server_version', 'synchronous_commit', 'fsync', 'full_page_writes', 'shared_buffers', 'max_wal_size', 'wal_compression', `+
			`'autovacuum', 'jit') ORDER BY name`))
	case mariadb:
		lines = append(lines, settings(ctx, db, `SHOW VARIABLES WHERE Variable_name IN
('version', 'innodb_flush_log_at_trx_commit', 'innodb_buffer_pool_size', 'sync_binlog', 'log_bin', 'innodb_log_file_size')`))
	case sqlite:
		var version string
		_ = db.QueryRowContext(ctx, `SELECT sqlite_version()`).Scan(&version)
		lines = append(lines, "SQLite "+version)
	}
	return lines
}

func settings(ctx context.Context, db *sql.DB, query string) string {
	var pairs []string
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return "settings unknown: " + err.Error()
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var name, value string
		if rows.Scan(&name, &value) == nil {
			pairs = append(pairs, name+" = "+value)
		}
	}
	if rows.Err() != nil {
		return "settings unknown: " + rows.Err().Error()
	}
	return strings.Join(pairs, ", ")
}
