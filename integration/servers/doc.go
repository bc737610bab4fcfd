// Package servers gives tests real database servers.
//
// A test package calls Main from its TestMain, and Each in its tests:
//
//	func TestMain(m *testing.M) { servers.Main(m) }
//
//	func TestPush(t *testing.T) {
//		servers.Each(t, func(t *testing.T, s *servers.Server) {
//			dsn := s.NewDatabase(t)
//			…
//		})
//	}
//
// Servers start when the first test asks for one, and stop when the package's tests are over. To start them once for many
// packages, run the tests under the command in ../cmd/servers: it starts the servers and hands their addresses on in the
// environment, where this package looks first.
//
// # Ways
//
// For each engine the first of these ways that gives it is taken:
//
//  1. environment: SQLQUEUE_TEST_POSTGRES, SQLQUEUE_TEST_MARIADB and SQLQUEUE_TEST_MYSQL hold addresses of running servers,
//     several separated by commas. The user must be allowed to create databases.
//  2. containers: a container engine answers. The images are postgres:17, mariadb:11.8 and mysql:9.7; SQLQUEUE_TEST_IMAGES
//     names others, also several of one engine ("postgres:14,postgres:18,mysql:8.0").
//  3. local: servers installed on the machine, started privately in a temporary directory on a free port of the loopback
//     interface, with the settings that the servers have by default, but more connections, since tests run at once. On Debian as
//     root, or with a sudo that asks for no password, PostgreSQL and MariaDB are installed first.
//
// SQLQUEUE_TEST_WAY (environment, containers or local; default auto) allows one way only. Images that were asked for by name
// are not replaced by whatever is installed: without them the engine fails.
//
// An engine that cannot be had is a failure, with one exception: without a container engine and without an installed mysqld,
// MySQL is listed as not run. SQLQUEUE_TEST_WITHOUT ("mysql,mariadb") switches engines off by name.
//
// # No server is left behind
//
// A local server is the child of a shell that stops it, and removes its directory, when the process that started it is gone,
// whatever ended it. Containers are removed at the end; what a killed process left is removed by the next process that uses this
// package.
package servers
