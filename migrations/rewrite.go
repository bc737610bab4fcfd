package migrations

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io/fs"
	"strings"
)

// in puts schema and prefix into every quoted name of sql. Only tables and indexes are quoted in the files, and PostgreSQL's
// collation "C", which stays as it is, like all that stands in strings and comments.
func (n naming) in(sql string) string {
	quote := n.engine.quote
	var out strings.Builder
	for len(sql) > 0 {
		end := 1
		switch {
		case strings.HasPrefix(sql, `"C"`):
			end = len(`"C"`)
		case sql[0] == quote:
			end = quotedLen(sql)
			if n.schema != "" && !beginsIndex(out.String()) {
				fmt.Fprintf(&out, "%c%s%c.", quote, n.schema, quote)
			}
			out.WriteByte(quote)
			out.WriteString(n.prefix)
			out.WriteString(sql[1:end])
			sql = sql[end:]
			continue
		case sql[0] == '\'':
			end = quotedLen(sql)
		case strings.HasPrefix(sql, "--"):
			end = commentLen(sql, "\n")
		case strings.HasPrefix(sql, "/*"):
			end = commentLen(sql, "*/")
		}
		out.WriteString(sql[:end])
		sql = sql[end:]
	}
	return out.String()
}

// beginsIndex reports whether sql ends where the name of a new index follows: it is in the schema of its table, and may not name one.
func beginsIndex(sql string) bool {
	line := sql[strings.LastIndexByte(sql, '\n')+1:]
	return strings.HasPrefix(line, "CREATE ") && strings.HasSuffix(line, "INDEX ")
}

// quotedLen is the length of the quoted thing that sql starts with. The quote itself stands in it doubled.
func quotedLen(sql string) int {
	for i := 1; i < len(sql); i++ {
		if sql[i] != sql[0] {
			continue
		}
		if i+1 < len(sql) && sql[i+1] == sql[0] {
			i++
			continue
		}
		return i + 1
	}
	return len(sql)
}

// commentLen is the length of the comment that sql starts with, two characters opening it.
func commentLen(sql, end string) int {
	if i := strings.Index(sql[2:], end); i >= 0 {
		return 2 + i + len(end)
	}
	return len(sql)
}

// marked puts goose's marks around each statement. Without them goose looks for its end with a buffer of 4 MB for each line.
func marked(sql string) string {
	var out strings.Builder
	open := false
	for line := range strings.Lines(sql) {
		text := strings.TrimSpace(line)
		code := text != "" && !strings.HasPrefix(text, "--")
		if code && !open {
			open = true
			out.WriteString("-- +goose StatementBegin\n")
		}
		out.WriteString(line)
		if code && strings.HasSuffix(text, ";") {
			open = false
			if !strings.HasSuffix(line, "\n") {
				out.WriteByte('\n')
			}
			out.WriteString("-- +goose StatementEnd\n")
		}
	}
	return out.String()
}

// edited returns the files in the root of fsys, each changed by edit. A zip archive is the standard library's file system in memory.
func edited(fsys fs.FS, edit func(sql string) string) (fs.FS, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	archive := zip.NewWriter(&buf)
	for _, entry := range entries {
		sql, err := fs.ReadFile(fsys, entry.Name())
		if err != nil {
			return nil, err
		}
		file, err := archive.Create(entry.Name())
		if err != nil {
			return nil, err
		}
		if _, err := file.Write([]byte(edit(string(sql)))); err != nil {
			return nil, err
		}
	}
	if err := archive.Close(); err != nil {
		return nil, err
	}
	return zip.NewReader(bytes.NewReader(buf.Bytes()), int64(buf.Len()))
}
