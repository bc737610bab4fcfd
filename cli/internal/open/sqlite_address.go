package open

import (
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
	"github.com/sqlqueue/sqlqueue/migrations"
)

// sqliteForms tells how SQLite's file is named.
const sqliteForms = "use sqlite:PATH, or sqlite:file:PATH with special characters percent-encoded, such as %3F for ?, " +
	"%23 for # and %25 for %"

// sqliteAddress reads what stands after sqlite:. There are three forms: PATH, //PATH, and file:PATH, a URI as SQLite has them; each may
// have parameters. What another program would take for another file is refused.
func sqliteAddress(rest string) (Address, error) {
	name, query, hasQuery := strings.Cut(rest, "?")
	uri, isURI := cutPrefixFold(name, "file:")
	switch {
	case strings.Contains(name, ":memory:"):
		return Address{}, exit.Usagef("a database in memory ends with the command: use sqlite:PATH")
	case strings.ContainsFunc(name, unicode.IsControl):
		return Address{}, exit.Usagef("the address of the SQLite file has a control character or a line end in it: %s", sqliteForms)
	case strings.Contains(rest, "#"):
		return Address{}, exit.Usagef("the address of the SQLite file has a #: %s", sqliteForms)
	}
	if hasQuery {
		if err := checkSQLiteParameters(query); err != nil {
			return Address{}, err
		}
	}
	var path string
	var err error
	switch {
	case isURI:
		path, err = uriPath(uri)
	case escape.MatchString(name):
		return Address{},
			exit.Usagef("the address of the SQLite file has %s, which can be a percent-encoded character or part of the name: %s",
				escape.FindString(name), sqliteForms)
	case strings.HasPrefix(name, "///") && !strings.HasPrefix(name, "////"):
		path = name[len("//"):]
		err = checkThreeSlashes(path)
	default:
		path = strings.TrimPrefix(name, "//")
	}
	switch {
	case err != nil:
		return Address{}, err
	case path == "":
		return Address{}, exit.Usagef("the address names no file: use sqlite:PATH")
	case strings.Contains(path, ":memory:"):
		return Address{}, exit.Usagef("a database in memory ends with the command: use sqlite:PATH")
	}
	return Address{Dialect: migrations.SQLite, path: filepath.Clean(path)}, nil
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

var escape = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

// uriPath is the path of a URI after file:.
func uriPath(uri string) (string, error) {
	if rest, ok := strings.CutPrefix(uri, "//"); ok {
		host, path, found := strings.Cut(rest, "/")
		if host != "" && !strings.EqualFold(host, "localhost") || !found {
			return "", exit.Usagef(
				"the URI of the SQLite file names the host %q: use sqlite:file:PATH, or sqlite:file:///PATH from the root", host,
			)
		}
		uri = "/" + path
	}
	path, err := url.PathUnescape(uri)
	if err != nil {
		return "", exit.Usagef("the address of the SQLite file has a %% that encodes no character: %s", sqliteForms)
	}
	if strings.ContainsFunc(path, unicode.IsControl) {
		return "", exit.Usagef("the name of the SQLite file has a control character: %s", sqliteForms)
	}
	return path, nil
}

// checkThreeSlashes refuses sqlite:///app.db where it can be Python's, which starts from the working directory and not from the root.
func checkThreeSlashes(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	relative := strings.TrimPrefix(path, "/")
	_, here := os.Stat(relative)
	folder, err := os.Stat(filepath.Dir(path))
	if here != nil && err == nil && folder.IsDir() && filepath.Dir(path) != "/" {
		return nil
	}
	return exit.Usagef("sqlite://%s is %s for some programs and %s in the working directory for others, such as Python's: "+
		"use sqlite:%s or sqlite:%s",
		path, path, relative, path, relative)
}

// What stands in addresses that other programs and drivers take: it says nothing about which file it is.
var sqliteParameters = []string{
	// SQLite's own
	"cache", "psow",
	// modernc.org/sqlite
	"_pragma", "_texttotime", "_inttotime", "_time_format", "_time_integer_format", "_timezone", "_dqs", "_error_rc", "_stmt_cache_size",
	// mattn/go-sqlite3
	"_txlock", "_loc", "_auto_vacuum", "_vacuum", "_busy_timeout", "_timeout", "_case_sensitive_like", "_cslike", "_defer_foreign_keys",
	"_defer_fk", "_foreign_keys", "_fk", "_ignore_check_constraints", "_journal_mode", "_journal", "_locking_mode", "_locking", "_mutex",
	"_query_only", "_recursive_triggers", "_rt", "_secure_delete", "_synchronous", "_sync", "_cache_size", "_writable_schema",
	// Python
	"timeout", "detect_types", "isolation_level", "check_same_thread", "cached_statements", "uri", "autocommit", "charset",
	// Rails, Laravel
	"pool", "pool_size", "pool_timeout", "busy_timeout", "busytimeout", "encoding", "adapter", "foreign_keys", "journal_mode",
	"synchronous", "retries",
	// Prisma and others of Node
	"connection_limit", "socket_timeout", "schema",
}

// checkSQLiteParameters refuses what would be another file, or none that a queue can be kept in.
func checkSQLiteParameters(query string) error {
	for part := range strings.SplitSeq(query, "&") {
		if part == "" {
			continue
		}
		name, value, hasValue := strings.Cut(part, "=")
		name, value = strings.ToLower(name), strings.ToLower(value)
		switch {
		case name == "mode" && (value == "rwc" || value == "rw"):
		case name == "mode" && value == "memory":
			return exit.Usagef("a database in memory ends with the command: use sqlite:PATH")
		case name == "mode" && value == "ro":
			return exit.Usagef("the address says mode=ro, but a queue is written to: leave it out")
		case name == "immutable" && slices.Contains([]string{"0", "no", "false", "off"}, value):
		case hasValue && slices.Contains(sqliteParameters, name):
		default:
			return exit.Usagef("the SQLite file's address has the parameter %q after the ?, which is not supported: leave it out; "+
				"if the ? belongs to the name, use sqlite:file:PATH with %%3F in its place", name)
		}
	}
	return nil
}
