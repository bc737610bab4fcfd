package servers

import (
	"context"
	"errors"
	"strings"
	"testing"
)

func TestGetTakesTheFirstWayThatGivesAServer(t *testing.T) {
	absent := func(context.Context, engine, settings) ([]*Server, error) { return nil, notHere("absent") }
	broken := func(context.Context, engine, settings) ([]*Server, error) { return nil, errors.New("broken") }
	gives := func(context.Context, engine, settings) ([]*Server, error) { return []*Server{{Way: "given"}}, nil }
	type start = func(context.Context, engine, settings) ([]*Server, error)
	postgres, mysql := engines[0], engines[2]

	for _, test := range []struct {
		name                           string
		engine                         engine
		environment, containers, local start
		variables                      map[string]string
		want                           string // given, error or the reason for not running it
	}{
		{"environment first", postgres, gives, broken, broken, nil, "given"},
		{"containers next", postgres, absent, gives, broken, nil, "given"},
		{"local last", postgres, absent, absent, gives, nil, "given"},
		{"a container that does not start is replaced", postgres, absent, broken, gives, nil, "given"},
		{
			"an address that does not answer is not replaced", postgres, broken, gives, gives,
			map[string]string{"SQLQUEUE_TEST_POSTGRES": "postgres://x"},
			"error",
		},
		{
			"an image asked for by name is not replaced", postgres, absent, absent, gives,
			map[string]string{"SQLQUEUE_TEST_IMAGES": "postgres:14"},
			"error",
		},
		{
			"other engines' images do not matter", postgres, absent, absent, gives,
			map[string]string{"SQLQUEUE_TEST_IMAGES": "mysql:8.4"},
			"given",
		},
		{"one way only", postgres, absent, gives, absent, map[string]string{"SQLQUEUE_TEST_WAY": "local"}, "error"},
		{"env is short for environment", postgres, gives, broken, broken, map[string]string{"SQLQUEUE_TEST_WAY": "env"}, "given"},
		{"PostgreSQL is never left out", postgres, absent, absent, absent, nil, "error"},
		{"MySQL is left out where nothing could give it", mysql, absent, absent, absent, nil, "absent; absent; absent"},
		{"MySQL fails where an engine could not start it", mysql, absent, broken, absent, nil, "error"},
		{
			"MySQL fails when its image was asked for", mysql, absent, absent, absent,
			map[string]string{"SQLQUEUE_TEST_IMAGES": "mysql:8.4"},
			"error",
		},
		{
			"switched off by name", postgres, gives, gives, gives,
			map[string]string{"SQLQUEUE_TEST_WITHOUT": "mysql, postgres"},
			"switched off by SQLQUEUE_TEST_WITHOUT",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			want, err := readSettings(func(name string) string { return test.variables[name] })
			if err != nil {
				t.Fatal(err)
			}
			o := get(t.Context(), test.engine, want, []way{
				{wayEnvironment, test.environment}, {wayContainers, test.containers}, {wayLocal, test.local},
			})
			got := o.notRun
			if o.err != nil {
				got = "error"
			}
			if len(o.servers) > 0 {
				got = o.servers[0].Way
			}
			if got != test.want {
				t.Errorf("got %q (error %v), want %q", got, o.err, test.want)
			}
		})
	}
}

func TestReadSettingsRefusesWhatItDoesNotKnow(t *testing.T) {
	for variable, value := range map[string]string{
		"SQLQUEUE_TEST_WAY":     "docker",
		"SQLQUEUE_TEST_WITHOUT": "postgresql",
		"SQLQUEUE_TEST_IMAGES":  "redis:7",
	} {
		_, err := readSettings(func(name string) string { return map[string]string{variable: value}[name] })
		if err == nil || !strings.Contains(err.Error(), variable) || !strings.Contains(err.Error(), value) {
			t.Errorf("%s=%s: error %v does not name both", variable, value, err)
		}
	}
}

func TestReadSettingsTakesSeveralAddressesAndImages(t *testing.T) {
	s, err := readSettings(func(name string) string {
		return map[string]string{
			"SQLQUEUE_TEST_POSTGRES": "postgres://a, postgres://b,",
			"SQLQUEUE_TEST_IMAGES":   "postgres:14,registry.example:5000/team/mariadb:11.8,postgres:18",
		}[name]
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(s.addresses["postgres"], " "); got != "postgres://a postgres://b" {
		t.Errorf("addresses: %s", got)
	}
	if got := strings.Join(s.images["postgres"], " "); got != "postgres:14 postgres:18" {
		t.Errorf("images of postgres: %s", got)
	}
	if got := strings.Join(s.images["mariadb"], " "); got != "registry.example:5000/team/mariadb:11.8" {
		t.Errorf("images of mariadb: %s", got)
	}
}

func TestAttachRefusesAnotherEnginesServer(t *testing.T) {
	Each(t, func(t *testing.T, s *Server) {
		for _, e := range engines {
			if e.name == s.Engine || e.scheme != s.address.Scheme {
				continue
			}
			want := settings{addresses: map[string][]string{e.name: {s.address.String()}}}
			if _, err := attach(t.Context(), e, want); err == nil || !strings.Contains(err.Error(), "is not "+e.name) {
				t.Errorf("%s taken for %s: error %v", s, e.name, err)
			}
		}
	})
}

func TestErrorsDoNotShowThePassword(t *testing.T) {
	for _, address := range []string{
		"postgres://user:secret@127.0.0.1:bad/db",
		"mysql://user:secret@127.0.0.1:3306/db",
		"postgres://user:sec%zzret@127.0.0.1/db",
		"postgres://user:secret@127.0.0.1:1/db?connect_timeout=bad",
	} {
		want := settings{addresses: map[string][]string{"postgres": {address}}}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := attach(ctx, engines[0], want)
		if err == nil {
			t.Errorf("%s is accepted", address)
		} else if strings.Contains(err.Error(), "sec") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
}

func TestNewestFirst(t *testing.T) {
	if newestFirst("/usr/lib/postgresql/9/bin", "/usr/lib/postgresql/18/bin") <= 0 {
		t.Error("9 comes before 18")
	}
}

func TestTailKeepsTheEnd(t *testing.T) {
	var log tail
	for range 3 * tailLength {
		if _, err := log.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := log.Write([]byte("the reason\n")); err != nil {
		t.Fatal(err)
	}
	if got := log.String(); !strings.HasSuffix(got, "the reason") || len(got) > tailLength {
		t.Errorf("%d bytes, the end is %q", len(got), got[len(got)-10:])
	}
}
