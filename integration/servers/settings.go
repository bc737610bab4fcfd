package servers

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
)

const (
	wayVariable     = "SQLQUEUE_TEST_WAY"
	imagesVariable  = "SQLQUEUE_TEST_IMAGES"
	withoutVariable = "SQLQUEUE_TEST_WITHOUT"
	// providedVariable is set by Set.Environ: the addresses are of servers that another process started and will list.
	providedVariable = "SQLQUEUE_TEST_PROVIDED"
)

const (
	wayAuto        = "auto"
	wayEnvironment = "environment"
	wayContainers  = "containers"
	wayLocal       = "local"
)

// settings is what the environment asks for. The maps' keys are engines' names.
type settings struct {
	way       string
	addresses map[string][]string
	images    map[string][]string // only what was asked for by name
	without   map[string]bool
}

func readSettings(getenv func(string) string) (settings, error) {
	s := settings{
		way:       getenv(wayVariable),
		addresses: map[string][]string{},
		images:    map[string][]string{},
		without:   map[string]bool{},
	}
	switch s.way {
	case "":
		s.way = wayAuto
	case "env":
		s.way = wayEnvironment
	case wayAuto, wayEnvironment, wayContainers, wayLocal:
	default:
		return s, fmt.Errorf("%s is %q: it can be %s, %s, %s or %s", wayVariable, s.way, wayAuto, wayEnvironment, wayContainers, wayLocal)
	}
	for _, e := range engines {
		s.addresses[e.name] = list(getenv(e.variable))
	}
	for _, name := range list(getenv(withoutVariable)) {
		if !slices.ContainsFunc(engines, func(e engine) bool { return e.name == name }) {
			return s, fmt.Errorf("%s: there is no engine %q", withoutVariable, name)
		}
		s.without[name] = true
	}
	for _, image := range list(getenv(imagesVariable)) {
		product, _, _ := strings.Cut(path.Base(image), ":")
		i := slices.IndexFunc(engines, func(e engine) bool { return strings.HasPrefix(product, e.name) })
		if i < 0 {
			return s, fmt.Errorf("%s: %q is not an image of postgres, mariadb or mysql", imagesVariable, image)
		}
		s.images[engines[i].name] = append(s.images[engines[i].name], image)
	}
	return s, nil
}

// named tells whether the servers that way gives were asked for by name. Others are not taken in their place.
func (s settings) named(e engine, way string) bool {
	return way == wayEnvironment && s.addresses[e.name] != nil || way == wayContainers && s.images[e.name] != nil
}

// list splits at commas and drops spaces and empty entries.
func list(s string) []string {
	var entries []string
	for entry := range strings.SplitSeq(s, ",") {
		if entry = strings.TrimSpace(entry); entry != "" {
			entries = append(entries, entry)
		}
	}
	return entries
}

// Without reports whether an engine was switched off.
func Without(name string) bool {
	s, err := readSettings(os.Getenv)
	return err == nil && s.without[name]
}
