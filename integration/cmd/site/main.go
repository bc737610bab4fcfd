// Command site writes the documents as a static site: site [-root REPOSITORY] FOLDER. It checks every link between them.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

const source = "https://github.com/sqlqueue/sqlqueue"

func main() {
	root := flag.String("root", "..", "folder of the repository")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: site [-root REPOSITORY] FOLDER")
		os.Exit(2)
	}
	pages, err := write(os.DirFS(*root), flag.Arg(0))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("%d pages in %s\n", pages, flag.Arg(0))
}

// site is a site that is being written.
type site struct {
	repository fs.FS
	pages      map[string]*page // by the name of their document in the repository
	files      map[string]bool  // that pages show or link to, and that are copied
}

// write writes the site of a repository into a folder, and returns how many pages it has. It writes nothing if a link is broken.
func write(repository fs.FS, folder string) (int, error) {
	s := &site{repository: repository, pages: map[string]*page{}, files: map[string]bool{}}
	if err := s.find(); err != nil {
		return 0, err
	}
	var broken []error
	for _, name := range slices.Sorted(maps.Keys(s.pages)) {
		broken = append(broken, s.link(s.pages[name])...)
	}
	if err := errors.Join(broken...); err != nil {
		return 0, err
	}
	for _, p := range s.pages {
		html, err := p.html()
		if err != nil {
			return 0, err
		}
		if err := save(folder, p.address, html); err != nil {
			return 0, err
		}
	}
	for name := range s.files {
		content, err := fs.ReadFile(repository, name)
		if err != nil {
			return 0, err
		}
		if err := save(folder, name, content); err != nil {
			return 0, err
		}
	}
	return len(s.pages), save(folder, "style.css", style)
}

// find reads all documents.
func (s *site) find() error {
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", "clients/*/README.md", "integration/README.md"} {
		names, err := fs.Glob(s.repository, pattern)
		if err != nil {
			return err
		}
		for _, name := range names {
			text, err := fs.ReadFile(s.repository, name)
			if err != nil {
				return err
			}
			s.pages[name] = parse(name, text)
		}
	}
	return nil
}

// link makes the links of a page those of the site, and returns an error for each that leads nowhere.
func (s *site) link(p *page) (broken []error) {
	p.eachLink(func(to string) string {
		if strings.Contains(to, "://") || strings.HasPrefix(to, "mailto:") {
			return to
		}
		file, fragment, _ := strings.Cut(to, "#")
		target := p.name
		if file != "" {
			target = path.Join(path.Dir(p.name), file)
		}
		address, err := s.address(target, fragment)
		if err != nil {
			broken = append(broken, fmt.Errorf("%s: the link %s leads nowhere: %w", p.name, to, err))
			return to
		}
		if fragment != "" {
			address += "#" + fragment
		}
		if strings.HasPrefix(address, source) {
			return address
		}
		return p.up() + address
	})
	return broken
}

// address is where the site, or else the repository's own page, shows a file.
func (s *site) address(name, fragment string) (string, error) {
	if p := s.pages[name]; p != nil {
		if fragment != "" && !p.headings[fragment] {
			return "", fmt.Errorf("%s has no heading %q", name, fragment)
		}
		return p.address, nil
	}
	if p := s.pages[path.Join(name, "README.md")]; p != nil {
		return p.address, nil
	}
	info, err := fs.Stat(s.repository, name)
	if err != nil {
		return "", err
	}
	if info.IsDir() {
		return source + "/tree/main/" + name, nil
	}
	if strings.HasPrefix(name, "docs/") {
		s.files[name] = true
		return name, nil
	}
	return source + "/blob/main/" + name, nil
}

func save(folder, name string, content []byte) error {
	file := filepath.Join(folder, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // a web server reads it
		return err
	}
	return os.WriteFile(file, content, 0o644) //nolint:gosec // the same
}
