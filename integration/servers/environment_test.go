package servers

import (
	"os"
	"testing"
)

func TestCleanEnvironmentForgetsTheUsers(t *testing.T) {
	variables := map[string]bool{ // whether it stays
		"SQLQUEUE_DSN": false, "SQLQUEUE_PREFIX": false, "PGHOST": false, "PGTZ": false, "MYSQL_PWD": false, "LC_ALL": false, "LANG": false,
		"NO_COLOR": false, "SQLQUEUE_TEST_OF_THIS": true, "PATH": true,
	}
	for name := range variables {
		t.Setenv(name, "x:"+os.Getenv(name))
	}
	if err := cleanEnvironment(); err != nil {
		t.Fatal(err)
	}
	for name, stays := range variables {
		if _, is := os.LookupEnv(name); is != stays {
			t.Errorf("%s is there: %v, want %v", name, is, stays)
		}
	}
}
