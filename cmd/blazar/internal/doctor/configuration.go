package doctor

import "context"

func checkConfig(_ context.Context, h *Host) []Result {
	const name = "configuration"
	if h.ConfigErr != nil {
		return fail(name, h.ConfigErr.Error(), "mend the file; without one the defaults hold")
	}
	return ok(name, "can be read")
}
