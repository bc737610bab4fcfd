package bench

import (
	"encoding/json"
	"testing"
)

func TestDataOfJobs(t *testing.T) {
	t.Parallel()
	if data, err := json.Marshal(newJob()); err != nil || len(data) != 100 {
		t.Errorf("the data of its jobs is %s, of %d bytes, %v", data, len(data), err)
	}
}

func TestEngineOf(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]string{"10.11.19-MariaDB-0+deb12u1": "mariadb", "9.7.0": "mysql"} {
		if got := engineOf("mysql", []Setting{{"log_bin", "ON"}, {"version", version}}); got != want {
			t.Errorf("%s is %s, want %s", version, got, want)
		}
	}
}
