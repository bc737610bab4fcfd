package guide

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPagesShowCodeThatRuns: each Go snippet of the guide stands, line by line, in a file whose code a test runs.
func TestPagesShowCodeThatRuns(t *testing.T) {
	t.Parallel()
	var code []string
	for _, pattern := range []string{"*_test.go", "firstjob/main.go", "../../integration/guide_test.go", "../orms/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			code = append(code, withoutIndent("\n"+read(t, file)))
		}
	}
	pages, err := filepath.Glob("../../docs/guide/*.md")
	if err != nil || len(pages) != 11 {
		t.Fatalf("%d pages, want 10 and the table of contents: %v", len(pages), err)
	}
	for _, page := range pages {
		for _, block := range strings.Split("\n"+read(t, page), "\n```go\n")[1:] {
			block, _, _ = strings.Cut(block, "```\n")
			if !contains(code, withoutIndent("\n"+block)) {
				t.Errorf("%s shows code that no test runs:\n%s", filepath.Base(page), block)
			}
		}
	}
}

func contains(files []string, snippet string) bool {
	for _, file := range files {
		if strings.Contains(file, snippet) {
			return true
		}
	}
	return false
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// withoutIndent lets a snippet stand further to the left than in its function.
func withoutIndent(text string) string {
	return strings.ReplaceAll(text, "\t", "")
}
