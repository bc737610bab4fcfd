package settings

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
)

// DefaultFile is read if it is there and no other is named.
const DefaultFile = "sqlqueue.yaml"

// configFile is what the configuration file says. Its zero value says nothing.
type configFile struct {
	name     string
	from     string                  // where the name came from
	open     bool                    // every user of the host may read it
	top      configValues            // for all commands
	sections map[string]configValues // by the command's name
	places   map[string]string       // of the sections
}

// configValues are values by the names of their flags.
type configValues map[string]configValue

// configValue is a value of the file, and where it stands.
type configValue struct {
	text  string // of a list: with commas
	node  *yaml.Node
	place string
}

// findConfig reads the file that --config names, or SQLQUEUE_CONFIG, or the one in the working directory.
func findConfig(name string) (*configFile, error) {
	from := "flag"
	if name == "" {
		name, from = os.Getenv("SQLQUEUE_CONFIG"), "environment SQLQUEUE_CONFIG"
	}
	if name == "" {
		name, from = DefaultFile, "default"
	}
	read := readNamed
	if from == "default" {
		read = readFound
	}
	text, mode, err := read(name)
	var refused *notTrusted
	switch {
	case errors.Is(err, os.ErrNotExist) && from == "default":
		return &configFile{}, nil
	case errors.As(err, &refused):
		return nil, exit.Usagef("%s is not used, because %w: give it with --config %[1]s if you trust it, or give another with --config",
			name, err)
	case err != nil:
		return nil, fmt.Errorf("the configuration: %w", err)
	}
	file, err := parseConfig(name, text)
	if err != nil {
		return nil, exit.Usagef("%s: %w", AtLine(name, err), err)
	}
	file.from, file.open = from, mode&OtherRead != 0
	return file, nil
}

// parseConfig reads a file. Its errors show no values: a password may be among them.
func parseConfig(name string, text []byte) (*configFile, error) {
	file := &configFile{name: name, top: configValues{}, sections: map[string]configValues{}, places: map[string]string{}}
	root, err := ParseYAML(text)
	if errors.Is(err, ErrEmpty) || err == nil && root.ShortTag() == "!!null" {
		return file, nil // it is empty
	}
	if err != nil {
		return nil, err
	}
	err = EachPair(root, "the file", func(key, value *yaml.Node) error {
		if value.Kind != yaml.MappingNode {
			return file.read(file.top, key, value)
		}
		section := configValues{}
		file.sections[key.Value], file.places[key.Value] = section, file.place(key)
		return EachPair(value, "the section", func(key, value *yaml.Node) error { return file.read(section, key, value) })
	})
	return file, err
}

func (f *configFile) place(node *yaml.Node) string { return fmt.Sprintf("%s:%d", f.name, node.Line) }

// read reads a scalar, or a list of them.
func (f *configFile) read(into configValues, key, value *yaml.Node) error {
	texts := []string{value.Value}
	if value.Kind != yaml.ScalarNode {
		texts = nil
		for _, item := range value.Content {
			if value.Kind != yaml.SequenceNode || item.Kind != yaml.ScalarNode || strings.Contains(item.Value, ",") {
				return At(key, "%s is neither a value nor a list of values", shownKey(key.Value))
			}
			texts = append(texts, item.Value)
		}
	}
	into[key.Value] = configValue{strings.Join(texts, ","), value, f.place(key)}
	return nil
}

// fits reports what is wrong with the kind of a value for a flag.
func (v configValue) fits(f *pflag.Flag) error {
	kind, isBool := v.node.ShortTag(), f.Value.Type() == "bool"
	switch {
	case v.text == "" || kind == "!!null":
		return errors.New("it has no value")
	case isBool != (kind == "!!bool"), kind == "!!seq" && !slices.Contains([]string{"names", "durations"}, f.Value.Type()):
		return fmt.Errorf("it is %s, and must be %s", KindOf(v.node), wantedKind(f))
	}
	return nil
}

func wantedKind(f *pflag.Flag) string {
	switch f.Value.Type() {
	case "bool":
		return "true or false"
	case "names", "durations":
		return f.Value.Type() + ", as a list or with commas between them"
	}
	return "a " + f.Value.Type()
}

var plainKey = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_-]{0,40}$`)

// shownKey shows a key, unless it looks as if something secret had come to stand in its place.
func shownKey(key string) string {
	if !plainKey.MatchString(key) {
		return "(not shown)"
	}
	return fmt.Sprintf("%q", key)
}
