package servers

import (
	"net/url"
	"slices"
)

// An engine is a database product, with what is needed to get a server of it. Engines are values, never changed.
type engine struct {
	name         string
	variable     string // of the environment, with addresses
	scheme       string // of an address
	inVersion    string // what the version contains; a server of another engine does not
	notInVersion string // what it does not contain
	optional     bool   // not run, instead of failed, where nothing on the machine could give one

	image        string
	port         string
	user         string
	containerEnv func(password string) map[string]string

	containerCommand []string

	local local
}

// local tells how a server installed on the machine is started. The scripts run in sh with DIR (empty, owned by the account),
// PORT and PASSWORD set.
type local struct {
	programs []string // the server first
	dirs     []string // patterns of directories to look in after PATH
	packages []string // Debian's
	account  string   // user who runs the server when the tests run as root
	prepare  string
	serve    string // one simple command
	stop     string // signal that ends it at once; its data is thrown away
}

// address is the address of a server that was started here.
func (e engine) address(host, password string) *url.URL {
	// both have a database of that name
	u := &url.URL{Scheme: e.scheme, User: url.UserPassword(e.user, password), Host: host, Path: "/" + e.scheme}
	if e.scheme == "postgres" {
		u.RawQuery = "sslmode=disable" // lib/pq insists on TLS otherwise
	}
	return u
}

// engines in the order in which they are listed.
var engines = []engine{
	{
		name:             "postgres",
		variable:         "SQLQUEUE_TEST_POSTGRES",
		scheme:           "postgres",
		inVersion:        "PostgreSQL",
		image:            "postgres:17",
		port:             "5432",
		user:             "postgres",
		containerEnv:     func(password string) map[string]string { return map[string]string{"POSTGRES_PASSWORD": password} },
		containerCommand: []string{"postgres", "-c", "max_connections=400"},
		local: local{
			programs: []string{"postgres", "initdb"},
			dirs:     []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin"},
			packages: []string{"postgresql"},
			account:  "postgres",
			prepare: `printf %s "$PASSWORD" >"$DIR/password" &&
				initdb --pgdata="$DIR/data" --username=postgres --pwfile="$DIR/password" --auth=scram-sha-256 \
					--encoding=UTF8 --no-locale --no-sync`,
			serve: `postgres -D "$DIR/data" -c listen_addresses=127.0.0.1 -c port="$PORT" -c unix_socket_directories= ` +
				`-c max_connections=400`,
			stop: "QUIT",
		},
	},
	{
		name:             "mariadb",
		variable:         "SQLQUEUE_TEST_MARIADB",
		scheme:           "mysql",
		inVersion:        "MariaDB",
		image:            "mariadb:11.8",
		port:             "3306",
		user:             "root",
		containerEnv:     func(password string) map[string]string { return map[string]string{"MARIADB_ROOT_PASSWORD": password} },
		containerCommand: []string{"mariadbd", "--max-connections=400"},
		local: local{
			programs: []string{"mariadbd", "mariadb-install-db"},
			dirs:     []string{"/usr/sbin", "/usr/local/sbin", "/usr/libexec"},
			packages: []string{"mariadb-server"},
			account:  "mysql",
			prepare: mysqlUser + ` &&
				mariadb-install-db --no-defaults --datadir="$DIR/data" --auth-root-authentication-method=normal --skip-test-db`,
			serve: `mariadbd --no-defaults ` + mysqlServe,
			stop:  "KILL",
		},
	},
	{
		name:             "mysql",
		variable:         "SQLQUEUE_TEST_MYSQL",
		scheme:           "mysql",
		notInVersion:     "MariaDB",
		optional:         true,
		image:            "mysql:9.7",
		port:             "3306",
		user:             "root",
		containerEnv:     func(password string) map[string]string { return map[string]string{"MYSQL_ROOT_PASSWORD": password} },
		containerCommand: []string{"mysqld", "--max-connections=400"},
		local: local{
			programs: []string{"mysqld"},
			dirs:     []string{"/usr/sbin", "/usr/local/sbin", "/usr/libexec"},
			account:  "mysql",
			prepare:  mysqlUser + ` && mysqld --no-defaults --initialize-insecure --datadir="$DIR/data"`,
			serve:    `mysqld --no-defaults --mysqlx=OFF ` + mysqlServe,
			stop:     "KILL",
		},
	},
}

// engineOf returns the engine of this name, which there is.
func engineOf(name string) engine {
	return engines[slices.IndexFunc(engines, func(e engine) bool { return e.name == name })]
}

// mysqlUser writes the statements that the server runs when it starts: root may log in over the loopback interface. The other
// roots of an installation have no password, but names not being resolved they come in through the socket in DIR only.
const mysqlUser = `printf '%s\n' "CREATE USER IF NOT EXISTS root@127.0.0.1;" "ALTER USER root@127.0.0.1 IDENTIFIED BY '$PASSWORD';" \
	"GRANT ALL ON *.* TO root@127.0.0.1 WITH GRANT OPTION;" >"$DIR/setup.sql"`

const mysqlServe = `--datadir="$DIR/data" --socket="$DIR/socket" --pid-file="$DIR/pid" --init-file="$DIR/setup.sql" \
	--bind-address=127.0.0.1 --port="$PORT" --skip-name-resolve --max-connections=400`
