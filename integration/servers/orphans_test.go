package servers

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
)

const helperVariable = "SQLQUEUE_TEST_HELPER"

// beHelper is the whole life of a process that startHelper started: it starts what the variable says, an engine's local server
// or "container", prints the server's address or the container's id, and waits to be killed.
func beHelper() {
	what := os.Getenv(helperVariable)
	if what == "" {
		return
	}
	started, err := startFor(context.Background(), what)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(started)
	select {}
}

func startFor(ctx context.Context, what string) (started string, err error) {
	if what == "container" {
		container, err := engines[0].runContainer(ctx, engines[0].image, rand.Text())
		if err != nil {
			return "", err
		}
		return container.GetContainerID(), nil
	}
	for _, e := range engines {
		if e.name == what {
			dirs, err := e.installed(ctx)
			if err != nil {
				return "", err
			}
			s, err := e.startPrivate(ctx, dirs)
			if err != nil {
				return "", err
			}
			return s.address.String(), nil
		}
	}
	return "", fmt.Errorf("no engine %q", what)
}

// startHelper starts this test binary again. It returns what the helper printed, and kill, which ends it as kill -9 does.
func startHelper(t *testing.T, what string, variables ...string) (started string, kill func()) {
	t.Helper()
	helper := exec.CommandContext(t.Context(), os.Args[0])
	helper.Env = append(append(os.Environ(), helperVariable+"="+what), variables...)
	helper.Stderr = t.Output()
	stdout, err := helper.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := helper.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() {
		_ = helper.Process.Kill()
		_ = helper.Wait()
	}
	started, err = bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		kill()
		t.Fatalf("the helper started nothing: %v", err)
	}
	return strings.TrimSpace(started), kill
}

func TestKilledProcessLeavesNoLocalServer(t *testing.T) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			if _, err := e.installed(t.Context()); isNotHere(err) {
				t.Skipf("needs an installed server: %v", err)
			}
			// not t.TempDir, which other accounts cannot enter
			dir, err := os.MkdirTemp("", "sqlqueue-killed-")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(dir) })
			if err := os.Chmod(dir, 0o777); err != nil {
				t.Fatal(err)
			}

			started, kill := startHelper(t, e.name, "TMPDIR="+dir)
			address, err := url.Parse(started)
			if err != nil {
				t.Fatal(err)
			}
			if !listens(t, address) {
				t.Errorf("the helper's server at %s does not listen", address.Host)
			}
			kill()

			await(t, "the server is gone", func() bool { return !listens(t, address) })
			await(t, "its directory is gone", func() bool {
				left, err := os.ReadDir(dir)
				return err == nil && len(left) == 0
			})
		})
	}
}

func listens(t *testing.T, address *url.URL) bool {
	t.Helper()
	var dialer net.Dialer
	connection, err := dialer.DialContext(t.Context(), "tcp", address.Host)
	if err != nil {
		return false
	}
	_ = connection.Close()
	return true
}

func TestContainerOfAKilledProcessIsRemoved(t *testing.T) {
	docker, err := containerEngine()
	if isNotHere(err) {
		t.Skipf("needs a container engine: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := docker.ImageInspect(t.Context(), engines[0].image); err != nil {
		t.Skipf("needs an image that is here: %v", err)
	}
	running := func(id string) bool {
		_, err := docker.ContainerInspect(t.Context(), id, client.ContainerInspectOptions{})
		if err != nil && !errdefs.IsNotFound(err) {
			t.Fatal(err)
		}
		return err == nil
	}

	id, kill := startHelper(t, "container", "TESTCONTAINERS_RYUK_DISABLED=true")
	if err := removeOrphans(t.Context(), docker); err != nil {
		t.Error(err)
	}
	if !running(id) {
		t.Error("the container of a live process was removed")
	}
	kill()
	if err := removeOrphans(t.Context(), docker); err != nil {
		t.Error(err)
	}
	await(t, "the container is gone", func() bool { return !running(id) })
}
