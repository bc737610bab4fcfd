package run

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/sqlqueue/sqlqueue/cli/internal/child"
	"github.com/sqlqueue/sqlqueue/cli/internal/deliver"
	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
	"github.com/sqlqueue/sqlqueue/cli/internal/settings"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/worker"
)

// mostHandlers is how many bytes a file of handlers may have.
const mostHandlers = 1 << 20

// otherNames stands in a file of handlers for all names that are not there.
const otherNames = "*"

// fileHandler is one handler of a file: a command or a target.
type fileHandler struct {
	command  []string
	reuse    bool // its processes serve several jobs
	target   *deliver.Target
	secret   bool // the file has a secret of it
	settings worker.Settings
}

// readHandlers reads a file of handlers, by name, and its schedules. The error is about what was typed. It has no value of the file that
// may be secret.
func readHandlers(cmd *cobra.Command, name string) (map[string]*fileHandler, []sqlqueue.Schedule, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, nil, exit.Usagef("--handlers: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, mostHandlers+1))
	if err != nil {
		return nil, nil, exit.Usagef("--handlers: %w", err)
	}
	handlers, schedules, err := parseHandlers(text)
	for _, h := range handlers {
		if info, err := file.Stat(); h.secret && err == nil && info.Mode()&settings.OtherRead != 0 {
			settings.WarnOfReaders(cmd, name)
			break
		}
	}
	if err != nil {
		return nil, nil, exit.Usagef("--handlers: %s: %w", settings.AtLine(name, err), err)
	}
	return handlers, schedules, nil
}

var errNoHandlers = errors.New("it has no handlers: map names of jobs to commands or URLs, such as send_invoice: {command: ./send-invoice}")

func parseHandlers(text []byte) (handlers map[string]*fileHandler, schedules []sqlqueue.Schedule, err error) {
	if len(text) > mostHandlers {
		return nil, nil, fmt.Errorf("it has more than %d MiB", mostHandlers>>20)
	}
	root, err := settings.ParseYAML(text)
	if errors.Is(err, settings.ErrEmpty) {
		return nil, nil, errNoHandlers
	}
	if err != nil {
		return nil, nil, err
	}
	handlers = map[string]*fileHandler{}
	err = settings.EachPair(root, "the file", func(key, value *yaml.Node) (err error) {
		if key.Value == schedulesKey {
			schedules, err = parseSchedules(value)
			return err
		}
		h, err := parseHandler(value)
		if err != nil {
			return settings.Inside(value, err, "the handler "+strconv.Quote(key.Value))
		}
		handlers[key.Value] = h
		return nil
	})
	if err == nil && len(handlers) == 0 {
		err = errNoHandlers
	}
	return handlers, schedules, err
}

// handlerKeys are what a handler may have.
var handlerKeys = []string{"command", "reuse", "url", "secret", "secret_env", "headers", "timeout", "tries", "backoff"}

func parseHandler(node *yaml.Node) (*fileHandler, error) {
	given := map[string]*yaml.Node{}
	err := settings.EachPair(node, "it", func(key, value *yaml.Node) error {
		if !slices.Contains(handlerKeys, key.Value) {
			return settings.At(key, "%q is not known: use %s%s",
				key.Value, strings.Join(handlerKeys, ", "), settings.DidYouMean(key.Value, "", handlerKeys))
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
		return nil, settings.At(given["url"], "it has a command and a url: use one of them")
	case given["command"] != nil:
		for _, key := range []string{"secret", "secret_env", "headers"} {
			if given[key] != nil {
				return nil, settings.At(given[key], "%s is for a url, and it has a command", key)
			}
		}
		h.command, err = parseCommand(given["command"])
		if err == nil && given["reuse"] != nil {
			h.reuse, err = boolOf(given["reuse"], "reuse")
		}
	case given["url"] != nil && given["reuse"] != nil:
		return nil, settings.At(given["reuse"], "reuse is for a command, and it has a url")
	case given["url"] != nil:
		h.target, err = parseTarget(given)
		u, parseErr := url.Parse(given["url"].Value)
		h.secret = given["secret"] != nil || given["headers"] != nil || parseErr == nil && u.User != nil
	default:
		return nil, settings.At(node, "it has no command and no url: give one of them")
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
		err = settings.At(node, "%s is empty", what)
	}
	return text, err
}

// stringOf returns a string that can be an argument.
func stringOf(node *yaml.Node, what string) (string, error) {
	switch {
	case node.Kind == yaml.ScalarNode && node.ShortTag() != "!!str" && node.ShortTag() != "!!null":
		return "", settings.At(node, "%s is %s: put it in quotes", what, settings.KindOf(node))
	case node.Kind != yaml.ScalarNode || node.ShortTag() != "!!str":
		return "", settings.At(node, "%s is %s: it must be a string", what, settings.KindOf(node))
	case strings.ContainsRune(node.Value, 0):
		return "", settings.At(node, "%s has a NUL byte", what)
	}
	return node.Value, nil
}

func boolOf(node *yaml.Node, what string) (value bool, err error) {
	if node.Kind != yaml.ScalarNode || node.ShortTag() != "!!bool" {
		return false, settings.At(node, "%s is %s: it must be true or false", what, settings.KindOf(node))
	}
	return value, node.Decode(&value)
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
		return nil, settings.At(node, "command is an empty list: give a program and its arguments")
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
		err := settings.EachPair(node, "headers", func(key, value *yaml.Node) (err error) {
			headers[key.Value], err = stringOf(value, "the header "+strconv.Quote(key.Value))
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	if _, err := deliver.ParseURL(address); err != nil {
		return nil, settings.At(given["url"], "url: %w", err)
	}
	target, err := deliver.NewTarget(address, secret, headers)
	if err != nil {
		return nil, settings.At(given["headers"], "headers: %w", err)
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
		return nil, settings.At(variable, "it has secret and secret_env: use one of them")
	case variable != nil:
		node, key = variable, "secret_env"
	}
	text, err := textOf(node, key)
	if err != nil {
		return nil, err
	}
	if node == variable {
		if text = os.Getenv(text); text == "" { // what is no name may be the secret
			return nil, settings.At(node, "secret_env: the environment has no variable of this name, or it is empty")
		}
	}
	secret, err := deliver.ParseSecret(strings.TrimSpace(text))
	if err != nil {
		return nil, settings.At(node, "%s: %w", key, err)
	}
	return secret, nil
}

func parseSettings(given map[string]*yaml.Node) (worker.Settings, error) {
	const none = -1 // where 0 is not set
	var s worker.Settings
	if node := given["tries"]; node != nil {
		if err := setFrom(settings.Counter(&s.Tries, 0), node, "tries"); err != nil {
			return s, err
		}
		if s.Tries == 0 {
			s.Tries = none
		}
	}
	if node := given["timeout"]; node != nil {
		if err := setFrom(settings.Duration(&s.Timeout, settings.NotNegative), node, "timeout"); err != nil {
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
		return waits, setFrom(settings.DurationList(&waits), node, "backoff")
	}
	for _, part := range node.Content {
		var wait time.Duration
		if err := setFrom(settings.Duration(&wait, settings.NotNegative), part, "a wait of backoff"); err != nil {
			return nil, err
		}
		waits = append(waits, wait)
	}
	if waits == nil {
		return nil, settings.At(node, "backoff is an empty list: give the waits after the 1st, 2nd, … error")
	}
	return waits, nil
}

// setFrom sets what a flag sets, too.
func setFrom(value interface{ Set(text string) error }, node *yaml.Node, what string) error {
	if node.Kind != yaml.ScalarNode || !slices.Contains([]string{"!!int", "!!float", "!!str"}, node.ShortTag()) {
		return settings.At(node, "%s is %s: it must be a number, or a string such as 10m", what, settings.KindOf(node))
	}
	if err := value.Set(node.Value); err != nil {
		return settings.At(node, "%s: %w", what, err)
	}
	return nil
}
