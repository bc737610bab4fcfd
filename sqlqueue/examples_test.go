package sqlqueue_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"
)

// Every option of a push has an example, which is run.
func TestEveryOptionHasAnExample(t *testing.T) {
	t.Parallel()
	examples, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	options := 0
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), ".go") || strings.HasSuffix(file.Name(), "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file.Name(), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, declaration := range parsed.Decls {
			f, ok := declaration.(*ast.FuncDecl)
			if !ok || f.Recv != nil || f.Type.Results == nil {
				continue
			}
			result, _ := f.Type.Results.List[0].Type.(*ast.Ident)
			if result == nil || result.Name != "PushOption" {
				continue
			}
			options++
			if !strings.Contains(string(examples), "func Example"+f.Name.Name+"()") {
				t.Errorf("%s has no example", f.Name.Name)
			}
		}
	}
	if options < 10 {
		t.Errorf("only %d options were found", options)
	}
}
