package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestChoose(t *testing.T) {
	if all, err := choose(nil); err != nil || len(all) != len(engines) {
		t.Errorf("without names: %d engines, %v", len(all), err)
	}
	if two, err := choose([]string{"galera", "postgres-14"}); err != nil || len(two) != 2 || two[0].name != "galera" {
		t.Errorf("by name: %v, %v", two, err)
	}
	if _, err := choose([]string{"nothing"}); err == nil {
		t.Error("an engine that is not there was chosen")
	}
	var says bytes.Buffer
	describe(&says, engines)
	if text := says.String(); !strings.Contains(text, "pgbouncer\n    without listen: LISTEN belongs to a session") {
		t.Errorf("the list is\n%s", text)
	}
}

// TestEveryEngineHasARecipe: and what a recipe says of an engine that cannot be had is passed on, with its exit code 3.
func TestEveryEngineHasARecipe(t *testing.T) {
	for _, e := range engines {
		name, _, _ := strings.Cut(e.recipe, " ")
		if _, err := recipes.ReadFile("recipes/" + name); err != nil {
			t.Errorf("%s: %v", e.name, err)
		}
	}
	dir := t.TempDir()
	text := "echo hello; echo it is not here >&2; exit 3\n"
	if err := os.WriteFile(filepath.Join(dir, "none.sh"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r := run{engine: engine{name: "none", recipe: "none.sh"}, recipes: dir, dir: filepath.Join(dir, "own")}
	if nodes, missing, err := r.up(context.Background()); nodes != nil || missing != "it is not here" || err != nil {
		t.Errorf("nodes %v, missing %q, %v", nodes, missing, err)
	}
}
