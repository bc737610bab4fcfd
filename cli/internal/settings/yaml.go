package settings

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/sqlqueue/sqlqueue/cli/internal/term"
)

// ErrEmpty says that a text has no document.
var ErrEmpty = errors.New("it is empty")

// lineError is an error about a line of a file.
type lineError struct {
	line int // from 1; 0: not known
	err  error
}

func (e *lineError) Error() string { return e.err.Error() }
func (e *lineError) Unwrap() error { return e.err }

// AtLine returns the name of a file, with the line that an error is about if it is known.
func AtLine(name string, err error) string {
	if at, ok := errors.AsType[*lineError](err); ok && at.line > 0 {
		return fmt.Sprintf("%s:%d", name, at.line)
	}
	return name
}

// Inside says of an error what it is about: a node, or a part of it that the error is about already.
func Inside(node *yaml.Node, err error, what string) error {
	line := node.Line
	if part, ok := errors.AsType[*lineError](err); ok {
		line = part.line
	}
	return &lineError{line, fmt.Errorf("%s: %w", what, err)}
}

// At is an error about a node.
func At(node *yaml.Node, format string, a ...any) error {
	return &lineError{node.Line, fmt.Errorf(format, a...)}
}

// ParseYAML reads one document, which may be JSON.
func ParseYAML(text []byte) (*yaml.Node, error) {
	if json.Valid(text) {
		text = jsonEscape.ReplaceAllFunc(text, unescape)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document, more yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, ErrEmpty
	case err != nil:
		return nil, syntaxError(err)
	}
	if err := decoder.Decode(&more); err == nil {
		return nil, At(&more, "a second document starts here: use one")
	} else if !errors.Is(err, io.EOF) {
		return nil, syntaxError(err)
	}
	if len(document.Content) != 1 {
		return nil, ErrEmpty
	}
	return document.Content[0], nil
}

// jsonEscape finds the escapes in a text of JSON. Those of slashes and of pairs of surrogates are not YAML's.
var jsonEscape = regexp.MustCompile(`\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|.)`)

func unescape(escape []byte) []byte {
	var text string
	if len(escape) > 2 || escape[1] == '/' {
		if err := json.Unmarshal(slices.Concat([]byte(`"`), escape, []byte(`"`)), &text); err == nil {
			return []byte(text)
		}
	}
	return escape
}

var yamlError = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

func syntaxError(err error) error {
	text := err.Error()
	found := yamlError.FindStringSubmatch(text)
	if found == nil {
		return &lineError{0, errors.New(term.Printable(text))}
	}
	line, _ := strconv.Atoi(found[1]) // 0 when it does not say
	return &lineError{line, fmt.Errorf("it is not YAML: %s", term.Printable(text[len(found[0]):]))}
}

// EachPair visits the pairs of a map, in order, whose keys must be strings that differ.
func EachPair(node *yaml.Node, what string, visit func(key, value *yaml.Node) error) error {
	if node.Kind != yaml.MappingNode || node.ShortTag() != "!!map" {
		return At(node, "%s is %s: it must be a map", what, KindOf(node))
	}
	seen := map[string]bool{}
	for pair := range slices.Chunk(node.Content, 2) {
		key, value := pair[0], pair[1]
		switch {
		case key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str":
			return At(key, "a name in %s is %s: put it in quotes", what, KindOf(key))
		case key.Value == "":
			return At(key, "a name in %s is empty", what)
		case seen[key.Value]:
			return At(key, "%q is there twice in %s", key.Value, what)
		}
		seen[key.Value] = true
		if err := visit(key, value); err != nil {
			return err
		}
	}
	return nil
}

// KindOf says what a node is, without its value.
func KindOf(node *yaml.Node) string {
	if node.Kind == yaml.AliasNode {
		return "an alias, which is not supported"
	}
	kinds := map[string]string{
		"!!str": "a string", "!!int": "a number", "!!float": "a number",
		"!!bool": "true or false", "!!null": "nothing", "!!timestamp": "a date",
		"!!merge": "a merge, which is not supported", "!!map": "a map", "!!seq": "a list",
	}
	if kind, ok := kinds[node.ShortTag()]; ok {
		return kind
	}
	return "of a kind of its own"
}
