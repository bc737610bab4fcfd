package cli

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

func TestDashboardListensAtThisMachineOnly(t *testing.T) {
	for _, address := range []string{":8080", "0.0.0.0:8080", "[::]:8080", "192.168.1.7:80", "shop.example:80", "8080"} {
		if err := checkLoopback(address); ExitCode(err) != 2 {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, address := range []string{"127.0.0.1:8080", "[::1]:0", "localhost:80", "127.3.2.1:1"} {
		if err := checkLoopback(address); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestDashboardServesUntilItsContextEnds(t *testing.T) {
	dsn := "sqlite:" + filepath.Join(t.TempDir(), "test.db")
	run := func(ctx context.Context, out io.Writer, args ...string) error {
		root := Command(Options{DSN: dsn}) //nolint:contextcheck // commands get theirs from cobra
		root.SetArgs(args)
		root.SetOut(out)
		root.SetErr(io.Discard)
		return root.ExecuteContext(ctx)
	}
	if err := run(t.Context(), io.Discard, "migrate", "up"); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), io.Discard, "dashboard", "--colour", "pink"); ExitCode(err) != 2 {
		t.Errorf("an unknown colour: %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, in, "ui", "--listen", "127.0.0.1:0", "--read-only", "--name", "shop") }()
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSpace(address), nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	page, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if err != nil || answer.StatusCode != http.StatusOK ||
		!strings.Contains(string(page), "shop") || strings.Contains(string(page), ">Pause") {
		t.Errorf("%d %s, %v", answer.StatusCode, page, err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("it ended with %v", err)
	}
}
