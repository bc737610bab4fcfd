package guide

import (
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// TestLinks: each relative link in the documents leads to a file that is there, and each anchor to a heading of it.
func TestLinks(t *testing.T) {
	t.Parallel()
	const root = "../.."
	documents := 0
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == "testdata" || entry.Name() == ".git"):
			return fs.SkipDir
		case filepath.Ext(path) == ".md":
			documents++
			checkLinks(t, path)
		}
		return nil
	})
	if err != nil || documents < 20 {
		t.Errorf("%d documents, %v", documents, err)
	}
}

// TestIndex: docs/README.md has a link to each document.
func TestIndex(t *testing.T) {
	t.Parallel()
	documents, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	index := read(t, "../../docs/README.md")
	for _, document := range documents {
		if name := filepath.Base(document); name != "README.md" && !strings.Contains(index, "]("+name+")") {
			t.Errorf("docs/README.md has no link to %s", name)
		}
	}
}

var (
	fence = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	code  = regexp.MustCompile("`[^`\n]*`")
	link  = regexp.MustCompile(`\]\(([^()\s]+)\)`)
)

func checkLinks(t *testing.T, path string) {
	t.Helper()
	text := code.ReplaceAllString(fence.ReplaceAllString(read(t, path), ""), "")
	for _, found := range link.FindAllStringSubmatch(text, -1) {
		target, err := url.Parse(found[1])
		if err != nil || target.Scheme != "" {
			continue
		}
		file := path
		if target.Path != "" {
			file = filepath.Join(filepath.Dir(path), filepath.FromSlash(target.Path))
		}
		if _, err := os.Stat(file); err != nil {
			t.Errorf("%s: the link to %s leads nowhere", path, found[1])
			continue
		}
		if target.Fragment != "" && filepath.Ext(file) == ".md" && !anchors(t, file)[target.Fragment] {
			t.Errorf("%s: %s has no heading for the link to %s", path, file, found[1])
		}
	}
}

// anchors returns the names that GitHub gives to the headings of a document.
func anchors(t *testing.T, path string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for line := range strings.SplitSeq(fence.ReplaceAllString(read(t, path), ""), "\n") {
		heading := strings.TrimLeft(line, "#")
		if heading == line || !strings.HasPrefix(heading, " ") {
			continue
		}
		name := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(heading))
		names[name] = true
	}
	return names
}
