package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/sqlqueue/sqlqueue/cli/internal/child"
	"github.com/sqlqueue/sqlqueue/cli/internal/deliver"
	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
	"github.com/sqlqueue/sqlqueue/cli/internal/term"
	"github.com/sqlqueue/sqlqueue/worker"
)

const handlersHelp = `
With --handlers each name has its own handler, from a file in YAML or JSON:
  send_invoice:
    command: ./send-invoice           # a line for sh -c, as --exec
  resize:
    command: [python3, resize.py]     # a list runs without a shell
    timeout: 10m
    tries: 3
    backoff: [1, 5, 10]
  notify:
    url: https://example.com/jobs     # the job is posted there
    secret_env: NOTIFY_SECRET         # signs it, as does secret: whsec_…
    headers: {Authorization: Bearer …}
  "*":                                # all other names; without it they are put back
    command: php artisan handle "$SQLQUEUE_JOB_NAME"
A job's own tries, timeout and backoff beat its handler's, and these beat those given here.
`

// mostHandlers is how many bytes a file of handlers may have.
const mostHandlers = 1 << 20

// otherNames stands in a file of handlers for all names that are not there.
const otherNames = "*"

// fileHandler is one handler of a file: a command or a target.
type fileHandler struct {
	command  []string
	target   *deliver.Target
	secret   bool // the file has a secret of it
	settings worker.Settings
}

// readHandlers reads a file of handlers, by name. The error is about what was typed. It has no value of the file that may be secret.
func readHandlers(cmd *cobra.Command, name string) (map[string]*fileHandler, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, exit.Usagef("--handlers: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, mostHandlers+1))
	if err != nil {
		return nil, exit.Usagef("--handlers: %w", err)
	}
	handlers, err := parseHandlers(text)
	for _, h := range handlers {
		if info, err := file.Stat(); h.secret && err == nil && info.Mode()&otherRead != 0 {
			warnOfReaders(cmd, name)
			break
		}
	}
	if at, ok := errors.AsType[*lineError](err); ok && at.line > 0 {
		return nil, exit.Usagef("--handlers: %s:%d: %w", name, at.line, at.err)
	}
	if err != nil {
		return nil, exit.Usagef("--handlers: %s: %w", name, err)
	}
	return handlers, nil
}

// lineError is an error about a line of a file.
type lineError struct {
	line int // from 1; 0: not known
	err  error
}

func (e *lineError) Error() string { return e.err.Error() }
func (e *lineError) Unwrap() error { return e.err }

// at is an error about a node.
func at(node *yaml.Node, format string, a ...any) error {
	return &lineError{node.Line, fmt.Errorf(format, a...)}
}

var errNoHandlers = errors.New("it has no handlers: map names of jobs to commands or URLs, such as send_invoice: {command: ./send-invoice}")

func parseHandlers(text []byte) (map[string]*fileHandler, error) {
	if len(text) > mostHandlers {
		return nil, fmt.Errorf("it has more than %d MiB", mostHandlers>>20)
	}
	root, err := parseYAML(text)
	if err != nil {
		return nil, err
	}
	handlers := map[string]*fileHandler{}
	err = eachPair(root, "the file", func(key, value *yaml.Node) error {
		h, err := parseHandler(value)
		if err != nil {
			line := value.Line
			if inside, ok := errors.AsType[*lineError](err); ok {
				line = inside.line
			}
			return &lineError{line, fmt.Errorf("the handler %q: %w", key.Value, err)}
		}
		handlers[key.Value] = h
		return nil
	})
	if err == nil && len(handlers) == 0 {
		err = errNoHandlers
	}
	return handlers, err
}

// parseYAML reads one document, which may be JSON.
func parseYAML(text []byte) (*yaml.Node, error) {
	if json.Valid(text) {
		text = jsonEscape.ReplaceAllFunc(text, unescape)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document, more yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, errNoHandlers
	case err != nil:
		return nil, syntaxError(err)
	}
	if err := decoder.Decode(&more); err == nil {
		return nil, at(&more, "a second document starts here: use one")
	} else if !errors.Is(err, io.EOF) {
		return nil, syntaxError(err)
	}
	if len(document.Content) != 1 {
		return nil, errNoHandlers
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

// eachPair visits the pairs of a map, in order, whose keys must be strings that differ.
func eachPair(node *yaml.Node, what string, visit func(key, value *yaml.Node) error) error {
	if node.Kind != yaml.MappingNode || node.ShortTag() != "!!map" {
		return at(node, "%s is %s: it must be a map", what, kindOf(node))
	}
	seen := map[string]bool{}
	for pair := range slices.Chunk(node.Content, 2) {
		key, value := pair[0], pair[1]
		switch {
		case key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str":
			return at(key, "a name in %s is %s: put it in quotes", what, kindOf(key))
		case key.Value == "":
			return at(key, "a name in %s is empty", what)
		case seen[key.Value]:
			return at(key, "%q is there twice in %s", key.Value, what)
		}
		seen[key.Value] = true
		if err := visit(key, value); err != nil {
			return err
		}
	}
	return nil
}

// kindOf says what a node is, without its value.
func kindOf(node *yaml.Node) string {
	if node.Kind == yaml.AliasNode {
		return "an alias, which is not supported"
	}
	kinds := map[string]string{
		"!!str": "a string", "!!int": "a number", "!!float": "a number", "!!bool": "true or false", "!!null": "nothing", "!!timestamp": "a date",
		"!!merge": "a merge, which is not supported", "!!map": "a map", "!!seq": "a list",
	}
	if kind, ok := kinds[node.ShortTag()]; ok {
		return kind
	}
	return "of a kind of its own"
}

// handlerKeys are what a handler may have.
var handlerKeys = []string{"command", "url", "secret", "secret_env", "headers", "timeout", "tries", "backoff"}

func parseHandler(node *yaml.Node) (*fileHandler, error) {
	given := map[string]*yaml.Node{}
	err := eachPair(node, "it", func(key, value *yaml.Node) error {
		if !slices.Contains(handlerKeys, key.Value) {
			return at(key, "%q is not known: use %s%s", key.Value, strings.Join(handlerKeys, ", "), didYouMean(key.Value, "", handlerKeys))
		}
		given[key.Value] = value
		return nil
	})
	if err != nil {
		return nil, err
	}
	h := &fileHandler{}
	switch {
	case given["command"] != nil && given["url"] != nil:
		return nil, at(given["url"], "it has a command and a url: use one of them")
	case given["command"] != nil:
		for _, key := range []string{"secret", "secret_env", "headers"} {
			if given[key] != nil {
				return nil, at(given[key], "%s is for a url, and it has a command", key)
			}
		}
		h.command, err = parseCommand(given["command"])
	case given["url"] != nil:
		h.target, err = parseTarget(given)
		u, parseErr := url.Parse(given["url"].Value)
		h.secret = given["secret"] != nil || given["headers"] != nil || parseErr == nil && u.User != nil
	default:
		return nil, at(node, "it has no command and no url: give one of them")
	}
	if err != nil {
		return nil, err
	}
	h.settings, err = parseSettings(given)
	return h, err
}

// textOf returns a string that is not empty.
func textOf(node *yaml.Node, what string) (string, error) {
	text, err := stringOf(node, what)
	if err == nil && strings.TrimSpace(text) == "" {
		err = at(node, "%s is empty", what)
	}
	return text, err
}

// stringOf returns a string that can be an argument.
func stringOf(node *yaml.Node, what string) (string, error) {
	switch {
	case node.Kind == yaml.ScalarNode && node.ShortTag() != "!!str" && node.ShortTag() != "!!null":
		return "", at(node, "%s is %s: put it in quotes", what, kindOf(node))
	case node.Kind != yaml.ScalarNode || node.ShortTag() != "!!str":
		return "", at(node, "%s is %s: it must be a string", what, kindOf(node))
	case strings.ContainsRune(node.Value, 0):
		return "", at(node, "%s has a NUL byte", what)
	}
	return node.Value, nil
}

func parseCommand(node *yaml.Node) ([]string, error) {
	if node.Kind != yaml.SequenceNode {
		line, err := textOf(node, "command")
		return child.Shell(line), err
	}
	var args []string
	for _, part := range node.Content {
		parse, what := stringOf, "an argument of command"
		if args == nil {
			parse, what = textOf, "the program of command"
		}
		arg, err := parse(part, what)
		if err != nil {
			return nil, err
		}
		args = append(args, arg)
	}
	if args == nil {
		return nil, at(node, "command is an empty list: give a program and its arguments")
	}
	return args, nil
}

func parseTarget(given map[string]*yaml.Node) (*deliver.Target, error) {
	address, err := textOf(given["url"], "url")
	if err != nil {
		return nil, err
	}
	secret, err := parseSecret(given["secret"], given["secret_env"])
	if err != nil {
		return nil, err
	}
	headers := map[string]string{}
	if node := given["headers"]; node != nil {
		err := eachPair(node, "headers", func(key, value *yaml.Node) (err error) {
			headers[key.Value], err = stringOf(value, "the header "+strconv.Quote(key.Value))
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	if _, err := deliver.ParseURL(address); err != nil {
		return nil, at(given["url"], "url: %w", err)
	}
	target, err := deliver.NewTarget(address, secret, headers)
	if err != nil {
		return nil, at(given["headers"], "headers: %w", err)
	}
	return target, nil
}

// parseSecret returns nil if there is none.
func parseSecret(literal, variable *yaml.Node) (*deliver.Secret, error) {
	node, key := literal, "secret"
	switch {
	case literal == nil && variable == nil:
		return nil, nil
	case literal != nil && variable != nil:
		return nil, at(variable, "it has secret and secret_env: use one of them")
	case variable != nil:
		node, key = variable, "secret_env"
	}
	text, err := textOf(node, key)
	if err != nil {
		return nil, err
	}
	if node == variable {
		if text = os.Getenv(text); text == "" { // what is no name may be the secret
			return nil, at(node, "secret_env: the environment has no variable of this name, or it is empty")
		}
	}
	secret, err := deliver.ParseSecret(strings.TrimSpace(text))
	if err != nil {
		return nil, at(node, "%s: %w", key, err)
	}
	return secret, nil
}

func parseSettings(given map[string]*yaml.Node) (worker.Settings, error) {
	const none = -1 // where 0 is not set
	var s worker.Settings
	if node := given["tries"]; node != nil {
		if err := setFrom(counter{value: &s.Tries}, node, "tries"); err != nil {
			return s, err
		}
		if s.Tries == 0 {
			s.Tries = none
		}
	}
	if node := given["timeout"]; node != nil {
		if err := setFrom(seconds{&s.Timeout, notNegative}, node, "timeout"); err != nil {
			return s, err
		}
		if s.Timeout == 0 {
			s.Timeout = none
		}
	}
	if node := given["backoff"]; node != nil {
		waits, err := parseBackoff(node)
		if err != nil {
			return s, err
		}
		s.Backoff = worker.ListBackoff(waits...)
	}
	return s, nil
}

func parseBackoff(node *yaml.Node) ([]time.Duration, error) {
	var waits []time.Duration
	if node.Kind != yaml.SequenceNode {
		return waits, setFrom(secondsList{&waits}, node, "backoff")
	}
	for _, part := range node.Content {
		var wait time.Duration
		if err := setFrom(seconds{&wait, notNegative}, part, "a wait of backoff"); err != nil {
			return nil, err
		}
		waits = append(waits, wait)
	}
	if waits == nil {
		return nil, at(node, "backoff is an empty list: give the waits after the 1st, 2nd, … error")
	}
	return waits, nil
}

// setFrom sets what a flag sets, too.
func setFrom(value interface{ Set(text string) error }, node *yaml.Node, what string) error {
	if node.Kind != yaml.ScalarNode || !slices.Contains([]string{"!!int", "!!float", "!!str"}, node.ShortTag()) {
		return at(node, "%s is %s: it must be a number, or a string such as 10m", what, kindOf(node))
	}
	if err := value.Set(node.Value); err != nil {
		return at(node, "%s: %w", what, err)
	}
	return nil
}
