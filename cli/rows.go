package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/cli/internal/settings"
	"github.com/sqlqueue/sqlqueue/cli/internal/term"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// showCommand shows one row by its id.
func showCommand[T any](e *env, short, example string, find func(*operator.Operator, context.Context, int64) (T, error),
	show func(io.Writer, T, time.Time) error,
) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "show ID",
		Short:   short,
		Example: example,
		Args:    between(1, 1, "ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ids, err := settings.ParseIDs(args)
			if err != nil {
				return err
			}
			return e.withOperator(cmd.Context(), func(o *operator.Operator) error {
				row, err := find(o, cmd.Context(), ids[0])
				if err != nil {
					return err
				}
				if asJSON {
					return writeRow(cmd.OutOrStdout(), row)
				}
				return show(cmd.OutOrStdout(), row, time.Now())
			})
		},
	}
	settings.JSONFlag(cmd, &asJSON)
	return cmd
}

// writeRow prints a job or a failed job as JSON.
func writeRow(w io.Writer, row any) error {
	switch r := row.(type) {
	case shownJob:
		if r.finished != nil {
			row = encodable(*r.finished)
			break
		}
		r.Payload = operator.Encodable(r.Payload)
		row = r
	case operator.FailedJob:
		r.Payload = operator.Encodable(r.Payload)
		row = r
	}
	return term.WriteJSON(w, row)
}

// writeRows prints an array of rows, one on each line. A row of which the start was read is read whole when it is printed; one that is gone
// by then is left out.
func writeRows[T any](w io.Writer, rows []T, whole func(T) (T, error)) error {
	before := "["
	for _, row := range rows {
		row, err := whole(row)
		if errors.Is(err, operator.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if _, err := io.WriteString(w, before); err != nil {
			return err
		}
		var line strings.Builder
		if err := term.WriteJSON(&line, row); err != nil {
			return err
		}
		if _, err := io.WriteString(w, strings.TrimSuffix(line.String(), "\n")); err != nil {
			return err
		}
		before = ",\n "
	}
	end := "]\n"
	if before == "[" {
		end = "[]\n"
	}
	_, err := io.WriteString(w, end)
	return err
}

// showPayload prints a payload over several lines.
func showPayload(w io.Writer, payload []byte) error {
	_, err := fmt.Fprintf(w, "payload\n%s\n", indented(payload))
	return err
}

func indented(payload []byte) string {
	var b bytes.Buffer
	if json.Indent(&b, payload, "  ", "  ") != nil {
		return "  " + term.Printable(string(payload))
	}
	return "  " + term.PrintableLines(b.String())
}
