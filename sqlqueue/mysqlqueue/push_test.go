package mysqlqueue

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

func TestPushIsPlannedInStatementsTheServerTakes(t *testing.T) {
	const packet = 4 << 20
	sizes := []int{10, 3 << 20, 10, 700 << 10, 700 << 10, 10}
	for range 2500 {
		sizes = append(sizes, 100)
	}
	p := &push{packet: packet}
	for _, size := range sizes {
		p.jobs = append(p.jobs, driver.NewJob{Queue: "mail", Payload: []byte(strings.Repeat("x", size))})
	}
	if err := p.plan(); err != nil {
		t.Fatal(err)
	}
	next := 0
	for _, chunk := range p.plain {
		bytes := 0
		for _, i := range chunk {
			if i != next {
				t.Fatalf("job %d stands where %d should", i, next)
			}
			next++
			bytes += sizes[i]
		}
		if len(chunk) > mostRows || len(chunk) > 1 && bytes > packet/4 {
			t.Errorf("a statement has %d rows of %d bytes", len(chunk), bytes)
		}
	}
	if next != len(sizes) {
		t.Errorf("%d of %d jobs are planned", next, len(sizes))
	}
	if want := 6; len(p.plain) != want {
		t.Errorf("%d statements, want %d", len(p.plain), want)
	}

	p.jobs = append(p.jobs, driver.NewJob{Payload: make([]byte, packet)})
	if err := p.plan(); err == nil || !strings.Contains(err.Error(), "max_allowed_packet") {
		t.Errorf("%v", err)
	}
}

func TestKeysArePushedInOrder(t *testing.T) {
	p := &push{packet: 1 << 20}
	for _, job := range []string{"b 1", "a 2", "", "b 0", "a 1", "a 1"} {
		queue, key, _ := strings.Cut(job, " ")
		p.jobs = append(p.jobs, driver.NewJob{Queue: queue, UniqueKey: key})
	}
	if err := p.plan(); err != nil {
		t.Fatal(err)
	}
	if want := []int{4, 5, 1, 3, 0}; !slices.Equal(p.keyed, want) || fmt.Sprint(p.plain) != "[[2]]" {
		t.Errorf("keyed %v, plain %v; want %v, [[2]]", p.keyed, p.plain, want)
	}
}
