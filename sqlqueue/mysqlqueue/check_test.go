package mysqlqueue

import (
	"strings"
	"testing"
)

func TestVersions(t *testing.T) {
	for _, version := range []string{
		"8.0.16", "8.0.36-28", "8.4.3", "9.7.4-2", "10.0.1", "8.0.39-0ubuntu0.24.04.1", "8.0.35-azure",
		"10.6.0-MariaDB", "10.11.19-MariaDB-0+deb12u1", "11.8.6-MariaDB-log", "12.0.1-MariaDB",
		"8.0.11-TiDB-v7.5.0", "5.7.25-TiDB-v6.1.0",
	} {
		if err := checkVersion(version); err != nil {
			t.Errorf("%s: %v", version, err)
		}
	}
	for version, name := range map[string]string{
		"8.0.15": "MySQL", "8.0.11": "MySQL", "5.7.44-log": "MySQL", "5.6.51": "MySQL",
		"10.5.29-MariaDB": "MariaDB", "5.5.68-MariaDB": "MariaDB", "10.3.39-MariaDB-log": "MariaDB",
	} {
		err := checkVersion(version)
		if err == nil {
			t.Errorf("%s passed", version)
			continue
		}
		for _, part := range []string{name + " " + version, "8.0.16", "10.6", "SKIP LOCKED", "CHECK"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q lacks %q", version, err, part)
			}
		}
	}
	if err := checkVersion("something"); err == nil || !strings.Contains(err.Error(), "something") {
		t.Errorf("%v", err)
	}
}
