package dashboard

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

var update = flag.Bool("update", false, "write openapi.json")

type object = map[string]any

// answer is what a route of the API answers, and what its query may have.
type answer struct {
	summary string
	value   any
	query   []string // name and what it is, in pairs
}

const aQuery, aLimit = "conditions, as in the page's field of search", "how many at most: 1 to 100, default 50"

const aRange = "how far back: 1h, 24h, 7d or 30d; default 1h"

var answers = map[string]answer{
	"/api/v1/queues": {"Queues, with their sizes and rates", []apiQueue{}, nil},
	"/api/v1/counts": {"What was pushed, done and failed in each minute", []apiStats{}, []string{
		"since", "how far back, such as 1h", "queue", "its name",
	}},
	"/api/v1/jobs": {"Jobs, the oldest first", []operator.Job{}, []string{
		"q", aQuery, "after", "an id: only jobs after it", "limit", aLimit,
	}},
	"/api/v1/jobs/{id}": {"A job", apiJobData{}, nil},
	"/api/v1/done": {"Jobs that are done and kept, the latest first", []operator.FinishedJob{}, []string{
		"queue", "its name", "name", "of the handler", "before", "a number: only those before it", "limit", aLimit,
	}},
	"/api/v1/done/{id}": {"A job that is done and kept", operator.FinishedJob{}, nil},
	"/api/v1/keeps":     {"How long finished jobs are kept, by the name of a queue or a pattern", []apiKeep{}, nil},
	"/api/v1/failed": {"Failed jobs, the newest first", []operator.FailedJob{}, []string{
		"q", aQuery, "before", "an id: only those before it", "limit", aLimit,
	}},
	"/api/v1/failed/{id}": {"A failed job", operator.FailedJob{}, nil},
	"/api/v1/groups":      {"Failed jobs, grouped by their errors", []operator.FailedGroup{}, []string{"q", aQuery}},
	"/api/v1/workers":     {"Workers", []apiWorker{}, nil},
	"/api/v1/errors": {"Runs that went wrong, the newest first", []operator.RunError{}, []string{
		"job", "an id: only runs of this job", "before", "an id: only those before it", "limit", aLimit,
	}},
	"/api/v1/errorgroups": {"Runs that went wrong, grouped by their errors", []operator.ErrorGroup{}, []string{
		"range", "how far back: 1h, 24h or 7d; default 1h",
	}},
	"/api/v1/names": {
		"How the jobs of each name ran",
		[]operator.NameStats{},
		[]string{"range", aRange, "queue", "the first level of queues: only these"},
	},
	"/api/v1/nametrend": {"How the jobs of a name ran over time, the oldest part first", []operator.NamePart{}, []string{
		"queue", "the first level of the queues", "name", "the name", "range", aRange,
	}},
	"/api/v1/sizes": {"What queues held over time, the oldest part first", []operator.SizePart{}, []string{
		"queue", "the first level of queues; default: all queues", "range", aRange,
	}},
	"/api/v1/operations": {"Who has changed what, the newest first", []operator.Operation{}, []string{
		"before", "an id: only those before it", "limit", aLimit,
	}},
	"/api/v1/subscriptions": {"Subscriptions; of their URLs the scheme and the host", []operator.Subscription{}, nil},
	"/api/v1/batches": {"Batches, the newest first, 20 at a time", []operator.Batch{}, []string{
		"before", "an id: only those before it",
	}},
	"/api/v1/limits":    {"Limits, by the name of a queue or a pattern", []apiLimit{}, nil},
	"/api/v1/schedules": {"Schedules", []operator.Schedule{}, nil},
}

// TestOpenAPI: openapi.json describes the routes of the API. With -update it is written anew.
func TestOpenAPI(t *testing.T) {
	schemas, paths := object{"Error": object{"type": "object", "properties": object{"error": object{"type": "string"}}}}, object{}
	for _, r := range routes() {
		if !strings.HasPrefix(r.pattern, "/api/") || r.pattern == "/api/v1/openapi.json" {
			continue
		}
		a, ok := answers[r.pattern]
		if !ok {
			t.Fatalf("%s is not described", r.pattern)
		}
		parameters := []object{}
		if strings.Contains(r.pattern, "{id}") {
			parameters = append(parameters, object{
				"name": "id", "in": "path", "required": true, "schema": object{"type": "integer", "format": "int64"},
			})
		}
		for i := 0; i < len(a.query); i += 2 {
			kind := map[bool]string{
				true: "integer", false: "string",
			}[a.query[i] == "limit" || a.query[i] == "after" || a.query[i] == "before"]
			parameters = append(parameters, object{
				"name": a.query[i], "in": "query", "description": a.query[i+1], "schema": object{"type": kind},
			})
		}
		paths[r.pattern] = object{strings.ToLower(r.method): object{"summary": a.summary, "parameters": parameters, "responses": object{
			"200":     object{"description": a.summary, "content": content(schemaOf(reflect.TypeOf(a.value), schemas))},
			"default": object{"description": "What went wrong", "content": content(object{"$ref": "#/components/schemas/Error"})},
		}}}
	}
	made, err := json.MarshalIndent(object{
		"openapi": "3.1.0", "info": object{"title": "sqlqueue", "version": "1"}, "paths": paths, "components": object{"schemas": schemas},
	}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	made = append(made, '\n')
	if *update {
		if err := os.WriteFile("openapi.json", made, 0o600); err != nil {
			t.Fatal(err)
		}
	} else if !bytes.Equal(made, description) {
		t.Errorf("openapi.json is not what the routes are: run go test ./dashboard -run TestOpenAPI -update")
	}
}

func content(schema object) object { return object{"application/json": object{"schema": schema}} }

// schemaOf describes how encoding/json writes a type. Structs are put into schemas under their name.
func schemaOf(t reflect.Type, schemas object) object {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[json.RawMessage]():
		return object{"description": "any JSON"}
	case t.Implements(reflect.TypeFor[json.Marshaler]()):
		return object{"type": "number", "description": "seconds"}
	}
	switch t.Kind() { //nolint:exhaustive // of the others there are none
	case reflect.Pointer:
		return object{"anyOf": []object{schemaOf(t.Elem(), schemas), {"type": "null"}}}
	case reflect.Slice:
		return object{"type": "array", "items": schemaOf(t.Elem(), schemas)}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Float64:
		return object{"type": "number"}
	case reflect.Struct:
		name := strings.TrimPrefix(t.Name(), "api")
		if schemas[name] == nil {
			properties := object{}
			schemas[name] = object{"type": "object", "properties": properties}
			addProperties(t, properties, schemas)
		}
		return object{"$ref": "#/components/schemas/" + name}
	}
	return object{"type": "integer"}
}

func addProperties(t reflect.Type, properties, schemas object) {
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			addProperties(f.Type, properties, schemas)
		case f.IsExported() && name != "-":
			if name == "" {
				name = f.Name
			}
			properties[name] = schemaOf(f.Type, schemas)
		}
	}
}
