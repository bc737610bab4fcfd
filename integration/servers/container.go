package servers

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/authconfig"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	tclog "github.com/testcontainers/testcontainers-go/log"
)

const (
	registryTimeout       = 20 * time.Second // to learn whether an image can be pulled
	containerRunTimeout   = 10 * time.Minute // with the pull
	containerReadyTimeout = 3 * time.Minute  // until it answers
)

// ownerLabel marks our containers with the process that started them.
const ownerLabel = "com.github.sqlqueue.owner"

// startContainers starts a container for each image of e.
func startContainers(ctx context.Context, e engine, want settings) ([]*Server, error) {
	docker, err := containerEngine()
	if err != nil {
		return nil, err
	}
	images := want.images[e.name]
	if images == nil {
		images = []string{e.image}
	}
	return startAll(images, func(image string) (*Server, error) {
		if err := needImage(ctx, docker, image); err != nil {
			return nil, err
		}
		return e.startContainer(ctx, image)
	})
}

// containerEngine connects to the container engine, once, and removes what killed processes left there. That is why Ryuk, the library's
// own cleaner, is off: it is an image that has to be pulled.
var containerEngine = sync.OnceValues(func() (client.APIClient, error) {
	tclog.SetDefault(silent{})
	if err := setDefault("TESTCONTAINERS_RYUK_DISABLED", "true"); err != nil {
		return nil, err
	}
	provider, err := testcontainers.NewDockerProvider()
	if err != nil {
		return nil, notHere("no container engine answers (%s)", oneLine(err))
	}
	ctx, docker := context.Background(), provider.Client()
	engine, err := docker.Info(ctx, client.InfoOptions{})
	if err != nil {
		return nil, notHere("the container engine does not answer (%s)", oneLine(err))
	}
	// On a machine that looks like a container itself the library would look for ports at the gateway. They are there only if the
	// engine is outside.
	if here, err := os.Hostname(); err == nil && here == engine.Info.Name {
		if err := setDefault("TESTCONTAINERS_HOST_OVERRIDE", "127.0.0.1"); err != nil {
			return nil, err
		}
	}
	return docker, removeOrphans(ctx, docker)
})

func setDefault(variable, value string) error {
	if os.Getenv(variable) != "" {
		return nil
	}
	return os.Setenv(variable, value)
}

// needImage makes sure that image is there or can be pulled. testcontainers, which pulls it, would try for minutes in vain.
func needImage(ctx context.Context, docker client.APIClient, image string) error {
	_, err := docker.ImageInspect(ctx, image)
	if err == nil || !errdefs.IsNotFound(err) {
		return err
	}
	var options client.DistributionInspectOptions
	if _, auth, err := testcontainers.DockerImageAuth(ctx, image); err == nil {
		if options.EncodedRegistryAuth, err = authconfig.Encode(auth); err != nil {
			return fmt.Errorf("image %s: %w", image, err)
		}
	}
	ask, cancel := context.WithTimeout(ctx, registryTimeout)
	defer cancel()
	if _, err := docker.DistributionInspect(ask, image, options); err != nil {
		return fmt.Errorf("image %s is not here and cannot be pulled: %w", image, err)
	}
	progress.Printf("pulling %s", image)
	return nil
}

func (e engine) startContainer(ctx context.Context, image string) (*Server, error) {
	progress.Printf("%s: starting a container of %s", e.name, image)
	password := rand.Text()
	container, err := e.runContainer(ctx, image, password)
	stop := func() error { return testcontainers.TerminateContainer(container) }
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	ctx, cancel := context.WithTimeout(ctx, containerReadyTimeout)
	defer cancel()
	host, err := container.PortEndpoint(ctx, e.port+"/tcp", "")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("image %s: %w", image, err), stop())
	}
	s, err := connect(ctx, e, e.address(host, password), func() error { return containerEnded(ctx, container) })
	if err != nil {
		return nil, errors.Join(fmt.Errorf("image %s: %w", image, err), stop())
	}
	s.Way = "container " + image
	s.stop = stop
	return s, nil
}

// runContainer starts a container without a wait strategy of the library: those for databases look for log lines, which differ
// between builds of a server. An answer by SQL is surer. The container may be there, to be terminated, even with an error.
func (e engine) runContainer(ctx context.Context, image, password string) (*testcontainers.DockerContainer, error) {
	ctx, cancel := context.WithTimeout(ctx, containerRunTimeout)
	defer cancel()
	container, err := testcontainers.Run(ctx, image,
		testcontainers.WithEnv(e.containerEnv(password)),
		testcontainers.WithExposedPorts(e.port+"/tcp"),
		testcontainers.WithCmd(e.containerCommand...),
		testcontainers.WithLabels(map[string]string{ownerLabel: owner()}),
	)
	if err != nil {
		return container, fmt.Errorf("image %s: %w", image, err)
	}
	return container, nil
}

// containerEnded is nil while container runs, then an error with its last words.
func containerEnded(ctx context.Context, container *testcontainers.DockerContainer) error {
	state, err := container.State(ctx)
	if err != nil || state.Running {
		return err
	}
	logs, err := container.Logs(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = logs.Close() }()
	var last tail
	if _, err := io.Copy(&last, logs); err != nil {
		return err
	}
	return fmt.Errorf("exit code %d: %s", state.ExitCode, last.String())
}

// silent keeps testcontainers from describing the engine and each container.
type silent struct{}

func (silent) Printf(string, ...any) {}

// owner names this process, among those of all hosts and containers that may use the same engine.
func owner() string {
	host, _ := os.Hostname()
	return host + "/" + strconv.Itoa(os.Getpid())
}

// removeOrphans removes the containers of processes of this host that are gone.
func removeOrphans(ctx context.Context, docker client.APIClient) error {
	found, err := docker.ContainerList(ctx, client.ContainerListOptions{
		All:     true,
		Filters: make(client.Filters).Add("label", ownerLabel),
	})
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	here, _ := os.Hostname()
	for _, c := range found.Items {
		host, process, _ := strings.Cut(c.Labels[ownerLabel], "/")
		pid, err := strconv.Atoi(process)
		if err != nil || host != here || !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			continue
		}
		progress.Printf("removing container %.12s, whose process %d is gone", c.ID, pid)
		_, err = docker.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		if err != nil && !errdefs.IsNotFound(err) && !errdefs.IsConflict(err) { // somebody else removes it
			return fmt.Errorf("remove container %.12s: %w", c.ID, err)
		}
	}
	return nil
}
