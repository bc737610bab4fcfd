package run

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sqlqueue/sqlqueue/cli/internal/settings"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

const (
	// schedulesKey is the part of a file of handlers that has schedules.
	schedulesKey = "schedules"

	// fileOrigin is the origin of its schedules.
	fileOrigin = "file"
)

// scheduleKeys are what a schedule of a file may have.
var scheduleKeys = []string{"cron", "every", "zone", "job", "data", "queue", "priority", "missed", "catch_up", "no_overlap"}

// parseSchedules reads the part of a file of handlers that has schedules, in the order of the file. The database checks their times.
func parseSchedules(node *yaml.Node) (schedules []sqlqueue.Schedule, err error) {
	err = settings.EachPair(node, schedulesKey, func(key, value *yaml.Node) error {
		s, err := parseSchedule(key.Value, value)
		if err != nil {
			return settings.Inside(value, err, "the schedule "+strconv.Quote(key.Value))
		}
		schedules = append(schedules, s)
		return nil
	})
	return schedules, err
}

func parseSchedule(name string, node *yaml.Node) (s sqlqueue.Schedule, err error) {
	s = sqlqueue.Schedule{Name: name, Origin: fileOrigin}
	var options []sqlqueue.PushOption
	job, data := "", json.RawMessage("null")
	err = settings.EachPair(node, "it", func(key, value *yaml.Node) (err error) {
		if !slices.Contains(scheduleKeys, key.Value) {
			return settings.At(key, "%q is not known: use %s%s",
				key.Value, strings.Join(scheduleKeys, ", "), settings.DidYouMean(key.Value, "", scheduleKeys))
		}
		text := ""
		switch key.Value {
		case "priority":
			priority := 0
			if err := value.Decode(&priority); err != nil {
				return settings.At(value, "priority is %s: it must be a number", settings.KindOf(value))
			}
			options = append(options, sqlqueue.Priority(priority))
			return nil
		case "no_overlap":
			if err := value.Decode(&s.NoOverlap); err != nil {
				return settings.At(value, "no_overlap is %s: it must be true or false", settings.KindOf(value))
			}
			return nil
		case "data":
			data, err = jsonOf(value)
			return err
		}
		if text, err = textOf(value, key.Value); err != nil {
			return err
		}
		switch key.Value {
		case "cron":
			s.Cron = text
		case "every":
			s.Every = text
		case "zone":
			s.Zone = text
		case "job":
			job = text
		case "queue":
			options = append(options, sqlqueue.OnQueue(text))
		case "missed":
			s.Missed = sqlqueue.Missed(text)
		case "catch_up":
			if s.CatchUp, err = settings.ParseDuration(text); err != nil {
				return settings.At(value, "catch_up: %v", err)
			}
		}
		return nil
	})
	if err == nil && job == "" {
		err = settings.At(node, "it has no job: name the one that it pushes")
	}
	s.Job = sqlqueue.With(sqlqueue.Named(job, data), options...)
	return s, err
}

// jsonOf is a value of YAML as JSON.
func jsonOf(node *yaml.Node) (json.RawMessage, error) {
	var value any
	if err := node.Decode(&value); err != nil {
		return nil, settings.At(node, "data cannot be read")
	}
	text, err := json.Marshal(value)
	if err != nil {
		return nil, settings.At(node, "data cannot be written as JSON: %v", err)
	}
	return text, nil
}
