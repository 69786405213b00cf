package wasip1

// The numbers and layouts below are those of the preview 1 specification.

// Clock ids.
const (
	clockRealtime uint32 = iota
	clockMonotonic
	clockProcessCPU
	clockThreadCPU
)

// filetype is what stat and readdir tell of a file.
type filetype byte

const (
	filetypeUnknown filetype = iota
	filetypeBlock
	filetypeCharacter
	filetypeDirectory
	filetypeRegular
	filetypeSocketDgram
	filetypeSocketStream
	filetypeSymlink
)

// fdflags are the flags of an open descriptor.
type fdflags uint16

const (
	fdflagAppend fdflags = 1 << iota
	fdflagDsync
	fdflagNonblock
	fdflagRsync
	fdflagSync

	fdflagsSyncing = fdflagDsync | fdflagRsync | fdflagSync
	fdflagsAll     = fdflagAppend | fdflagNonblock | fdflagsSyncing
)

// oflags are those of path_open.
const (
	oflagCreat = 1 << iota
	oflagDirectory
	oflagExcl
	oflagTrunc

	oflagsAll = oflagCreat | oflagDirectory | oflagExcl | oflagTrunc
)

// lookupSymlinkFollow makes a path's last component be followed.
const lookupSymlinkFollow = 1

// fstflags say which time to set to what.
const (
	fstAtim = 1 << iota
	fstAtimNow
	fstMtim
	fstMtimNow

	fstAll = fstAtim | fstAtimNow | fstMtim | fstMtimNow
)

// Kinds of events and subscriptions.
const (
	eventClock byte = iota
	eventFdRead
	eventFdWrite
)

// subclockAbstime makes a clock's timeout a point in time.
const subclockAbstime = 1

// eventHangup says that the other end of a descriptor is gone.
const eventHangup = 1

// Flags of sock_recv, in and out, and of sock_shutdown.
const (
	riPeek    = 1
	riWaitall = 2

	roDataTruncated = 1

	sdRd = 1
	sdWr = 2
)

// Sizes of records in guest memory.
const (
	sizeFdstat       = 24
	sizeFilestat     = 64
	sizePrestat      = 8
	sizeDirent       = 24
	sizeIovec        = 8
	sizeSubscription = 48
	sizeEvent        = 32
)
