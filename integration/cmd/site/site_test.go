package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

// TestDocuments: the repository's documents make a site whose links all lead somewhere.
func TestDocuments(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	pages, err := write(os.DirFS("../../.."), folder)
	if err != nil || pages < 40 {
		t.Fatalf("%d pages: %v", pages, err)
	}
	for name, want := range map[string]string{
		"index.html":                       `href="docs/guide/index.html"`,
		"docs/index.html":                  `<link rel="stylesheet" href="../style.css">`,
		"docs/guide/01-first-job.html":     `<pre><code class="language-go">`,
		"clients/ruby/index.html":          `href="../../docs/languages.html#a-process-that-serves-many-jobs"`,
		"docs/schemas/index.html":          `href="../../docs/schemas/payload.schema.json"`,
		"docs/schemas/payload.schema.json": `"$schema"`,
		"style.css":                        "color-scheme:light dark",
	} {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s has no %s (%v)", name, want, err)
		}
	}
}

func TestLinks(t *testing.T) {
	t.Parallel()
	repository := fstest.MapFS{
		"README.md": {
			Data: []byte(
				"# A\n\n[code](cmd/a.go), [guide](docs/guide), [there](docs/b.md#two-words), [out](https://example.com), " +
					"![](docs/x.png#dark)\n",
			),
		},
		"docs/b.md":            {Data: []byte("# B\n\n## Two `words`!\n\n[up](../README.md) [here](#b) <script>alert(1)</script>\n")},
		"docs/guide/README.md": {Data: []byte("# G\n")},
		"docs/x.png":           {Data: []byte("x")},
		"cmd/a.go":             {Data: []byte("package a")},
	}
	folder := t.TempDir()
	if _, err := write(repository, folder); err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Error(err)
		}
		return string(text)
	}
	for _, want := range []string{
		`href="` + source + `/blob/main/cmd/a.go"`, `href="docs/guide/index.html"`, `href="docs/b.html#two-words"`,
		`href="https://example.com"`, `src="docs/x.png#dark"`,
	} {
		if !strings.Contains(read("index.html"), want) {
			t.Errorf("the page has no %s:\n%s", want, read("index.html"))
		}
	}
	if got := read("docs/b.html"); !strings.Contains(got, `href="../index.html"`) || strings.Contains(got, "<script") ||
		read("docs/x.png") != "x" {
		t.Errorf("the page is\n%s", got)
	}

	repository["docs/b.md"].Data = []byte("# B\n\n[a](c.md) [b](../README.md#none)\n")
	empty := t.TempDir()
	_, err := write(repository, empty)
	if err == nil || !strings.Contains(err.Error(), "docs/b.md: the link c.md leads nowhere") ||
		!strings.Contains(err.Error(), `README.md has no heading "none"`) ||
		!strings.Contains(err.Error(), "README.md: the link docs/b.md#two-words leads nowhere") {
		t.Errorf("the error is %v", err)
	}
	if files, _ := os.ReadDir(empty); len(files) != 0 {
		t.Errorf("written are %v", files)
	}
}
