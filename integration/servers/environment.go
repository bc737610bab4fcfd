package servers

import (
	"errors"
	"os"
	"strings"
)

// cleanEnvironment forgets what the user's environment says to sqlqueue, to the databases' programs and libraries, and of a terminal, so
// that neither a test nor what it starts goes by it. What package servers reads stays.
func cleanEnvironment() error {
	var failed []error
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		if ofTheUser(name) {
			failed = append(failed, os.Unsetenv(name))
		}
	}
	return errors.Join(failed...)
}

func ofTheUser(name string) bool {
	if strings.HasPrefix(name, "SQLQUEUE_TEST_") {
		return false
	}
	for _, prefix := range []string{"SQLQUEUE_", "PG", "MYSQL_", "MARIADB_", "LC_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	switch name {
	case "LANG", "LANGUAGE", "NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", "LINES":
		return true
	}
	return false
}
