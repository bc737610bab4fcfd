package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"path"
	"strings"
	"unicode"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
)

var (
	//go:embed page.html
	layout string
	//go:embed style.css
	style []byte

	markdown = goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithParserOptions(parser.WithAutoHeadingID()))
	shown    = template.Must(template.New("page").Parse(layout))
)

// page is a document.
type page struct {
	name     string // in the repository
	address  string // in the site
	title    string
	headings map[string]bool // ids
	text     []byte
	root     ast.Node
}

func parse(name string, content []byte) *page {
	p := &page{name: name, address: strings.TrimSuffix(name, ".md") + ".html", headings: map[string]bool{}, text: content}
	if path.Base(name) == "README.md" {
		p.address = path.Join(path.Dir(name), "index.html")
	}
	p.root = markdown.Parser().Parse(text.NewReader(content), parser.WithContext(parser.NewContext(parser.WithIDs(ids(p.headings)))))
	title, _, _ := strings.Cut(string(content), "\n")
	p.title = strings.Trim(title, "# ")
	return p
}

// eachLink replaces where the links and pictures of a page lead.
func (p *page) eachLink(replace func(to string) string) {
	_ = ast.Walk(p.root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if entering {
			switch n := n.(type) {
			case *ast.Link:
				n.Destination = []byte(replace(string(n.Destination)))
			case *ast.Image:
				n.Destination = []byte(replace(string(n.Destination)))
			}
		}
		return ast.WalkContinue, nil
	})
}

// up leads from the page to the root of the site.
func (p *page) up() string { return strings.Repeat("../", strings.Count(p.address, "/")) }

func (p *page) html() ([]byte, error) {
	var body, whole bytes.Buffer
	if err := markdown.Renderer().Render(&body, p.text, p.root); err != nil {
		return nil, err
	}
	err := shown.Execute(&whole, map[string]any{
		"Title": p.title, "Up": p.up(), "Source": source, "Name": p.name,
		"Body": template.HTML(body.String()), //nolint:gosec // goldmark leaves out the HTML of documents
	})
	return whole.Bytes(), err
}

// ids gives headings the ids that GitHub gives them.
type ids map[string]bool

// Generate makes the id of a heading.
func (used ids) Generate(heading []byte, _ ast.NodeKind) []byte {
	id := strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			return unicode.ToLower(r)
		}
		return -1
	}, strings.TrimSpace(string(heading)))
	unique := id
	for n := 1; used[unique]; n++ {
		unique = fmt.Sprintf("%s-%d", id, n)
	}
	used[unique] = true
	return []byte(unique)
}

// Put notes an id that a heading has of its own.
func (used ids) Put(id []byte) { used[string(id)] = true }
