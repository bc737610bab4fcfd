package dashboard

import (
	"net/http"
	"strconv"
	"strings"
)

// route is one kind of request. Names of queues, jobs and workers are in the query and never in the path, where they could lead to another
// route. {id} is a positive number.
type route struct {
	method  string
	pattern string
	needs   permission
	serve   func(*visit) error
}

// routes are all routes with their rights. There is no other check.
func routes() []route {
	return []route{
		{"GET", "/", view, (*visit).overview},
		{"GET", "/queue", view, (*visit).queuePage},
		{"POST", "/queue/pause", control, (*visit).pause},
		{"POST", "/queue/resume", control, (*visit).resume},
		{"POST", "/queue/restart", control, (*visit).restart},
		{"POST", "/queue/down", control, (*visit).down},
		{"POST", "/queue/up", control, (*visit).up},
		{"POST", "/queue/limit", control, (*visit).setLimit},
		{"POST", "/queue/unlimit", control, (*visit).removeLimit},
		{"POST", "/queue/keep", control, (*visit).setKeep},
		{"GET", "/jobs", view, (*visit).jobsPage},
		{"GET", "/jobs/{id}", view, (*visit).jobPage},
		{"POST", "/jobs/{id}", edit, (*visit).editJob},
		{"POST", "/jobs/{id}/run", edit, (*visit).runJob},
		{"POST", "/jobs/{id}/cancel", cancel, (*visit).cancelJob},
		{"POST", "/jobs/{id}/release", cancel, (*visit).releaseJob},
		{"GET", "/done", view, (*visit).finishedPage},
		{"GET", "/failed", view, (*visit).failedPage},
		{"GET", "/failed/{id}", view, (*visit).failedJobPage},
		{"POST", "/failed/{id}/retry", retry, (*visit).retryFailed},
		{"POST", "/failed/{id}/forget", destroy, (*visit).forgetFailed},
		{"GET", "/errors", view, (*visit).errorsPage},
		{"GET", "/errors/{id}", view, (*visit).errorPage},
		{"GET", "/names", view, (*visit).namesPage},
		{"GET", "/names/show", view, (*visit).namePage},
		{"GET", "/activity", view, (*visit).activityPage},
		{"GET", "/workers", view, (*visit).workersPage},
		{"POST", "/workers/concurrency", control, (*visit).setConcurrency},
		{"GET", "/schedules", view, (*visit).schedulesPage},
		{"GET", "/schedules/show", view, (*visit).schedulePage},
		{"POST", "/schedules/show", edit, (*visit).saveSchedule},
		{"GET", "/schedules/new", edit, (*visit).newSchedulePage},
		{"POST", "/schedules/new", edit, (*visit).addSchedule},
		{"GET", "/schedules/times", view, (*visit).scheduleTimes},
		{"POST", "/schedules/pause", control, (*visit).pauseSchedule},
		{"POST", "/schedules/resume", control, (*visit).resumeSchedule},
		{"POST", "/schedules/run", push, (*visit).runSchedule},
		{"POST", "/schedules/remove", destroy, (*visit).removeSchedule},
		{"GET", "/subscriptions", view, (*visit).subscriptionsPage},
		{"POST", "/subscriptions", subscribe, (*visit).subscribe},
		{"POST", "/subscriptions/remove", subscribe, (*visit).unsubscribe},
		{"GET", "/settings", view, (*visit).settingsPage},
		{"POST", "/language", view, (*visit).chooseLanguage},
		{"GET", "/batches", view, (*visit).batchesPage},
		{"GET", "/batches/{id}", view, (*visit).batchPage},
		{"POST", "/batches/{id}/cancel", cancel, (*visit).cancelBatch},
		{"GET", "/push", push, (*visit).pushPage},
		{"POST", "/push", push, (*visit).pushJob},

		{"GET", "/bulk/cancel", cancel, (*visit).previewBulk},
		{"POST", "/bulk/cancel", cancel, (*visit).runBulk},
		{"POST", "/steps/cancel", cancel, (*visit).stepBulk},
		{"GET", "/bulk/restore", cancel, (*visit).previewBulk},
		{"POST", "/bulk/restore", cancel, (*visit).runBulk},
		{"POST", "/steps/restore", cancel, (*visit).stepBulk},
		{"GET", "/bulk/release", cancel, (*visit).previewBulk},
		{"POST", "/bulk/release", cancel, (*visit).runBulk},
		{"POST", "/steps/release", cancel, (*visit).stepBulk},
		{"GET", "/bulk/clear", destroy, (*visit).previewBulk},
		{"POST", "/bulk/clear", destroy, (*visit).runBulk},
		{"POST", "/steps/clear", destroy, (*visit).stepBulk},
		{"GET", "/bulk/retry", retry, (*visit).previewBulk},
		{"POST", "/bulk/retry", retry, (*visit).runBulk},
		{"POST", "/steps/retry", retry, (*visit).stepBulk},
		{"GET", "/bulk/forget", destroy, (*visit).previewBulk},
		{"POST", "/bulk/forget", destroy, (*visit).runBulk},
		{"POST", "/steps/forget", destroy, (*visit).stepBulk},

		{"GET", "/api/v1/openapi.json", view, (*visit).apiDescription},
		{"GET", "/api/v1/queues", view, (*visit).apiQueues},
		{"GET", "/api/v1/counts", view, (*visit).apiCounts},
		{"GET", "/api/v1/jobs", view, (*visit).apiJobs},
		{"GET", "/api/v1/jobs/{id}", view, (*visit).apiJob},
		{"GET", "/api/v1/done", view, (*visit).apiFinished},
		{"GET", "/api/v1/done/{id}", view, (*visit).apiFinishedJob},
		{"GET", "/api/v1/keeps", view, (*visit).apiKeeps},
		{"GET", "/api/v1/failed", view, (*visit).apiFailed},
		{"GET", "/api/v1/failed/{id}", view, (*visit).apiFailedJob},
		{"GET", "/api/v1/groups", view, (*visit).apiGroups},
		{"GET", "/api/v1/workers", view, (*visit).apiWorkers},
		{"GET", "/api/v1/errors", view, (*visit).apiErrors},
		{"GET", "/api/v1/errorgroups", view, (*visit).apiErrorGroups},
		{"GET", "/api/v1/names", view, (*visit).apiNames},
		{"GET", "/api/v1/nametrend", view, (*visit).apiNameTrend},
		{"GET", "/api/v1/sizes", view, (*visit).apiSizes},
		{"GET", "/api/v1/operations", view, (*visit).apiOperations},
		{"GET", "/api/v1/batches", view, (*visit).apiBatches},
		{"GET", "/api/v1/limits", view, (*visit).apiLimits},
		{"GET", "/api/v1/subscriptions", view, (*visit).apiSubscriptions},
		{"GET", "/api/v1/schedules", view, (*visit).apiSchedules},
	}
}

// find returns the route of a request, with the id in its path, or the allowed methods.
func (d *Dashboard) find(method, path string) (found *route, id int64, allowed []string) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for i := range d.routes {
		r := &d.routes[i]
		n, ok := match(r.pattern, path)
		if !ok {
			continue
		}
		if r.method == method {
			return r, n, nil
		}
		allowed = append(allowed, r.method)
	}
	return nil, 0, allowed
}

// match compares a path with a pattern part by part.
func match(pattern, path string) (id int64, ok bool) {
	for {
		want, moreWanted, _ := strings.Cut(pattern, "/")
		got, more, _ := strings.Cut(path, "/")
		switch {
		case want == "{id}":
			n, err := strconv.ParseInt(got, 10, 64)
			if err != nil || n < 1 || strconv.FormatInt(n, 10) != got {
				return 0, false
			}
			id = n
		case want != got:
			return 0, false
		}
		if (len(want) == len(pattern)) != (len(got) == len(path)) {
			return 0, false // one of them goes on
		}
		if len(want) == len(pattern) {
			return id, true
		}
		pattern, path = moreWanted, more
	}
}
