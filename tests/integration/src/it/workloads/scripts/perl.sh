# Perl: files, fork, signals, locks, System V shared memory.
perl -MFcntl=:flock -MIPC::SysV=IPC_PRIVATE,IPC_CREAT,IPC_RMID,S_IRUSR,S_IWUSR -e '
my $id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | S_IRUSR | S_IWUSR) // die "shmget: $!";
$SIG{USR1} = sub { print "signal\n" };
my $pid = fork;
if (!$pid) { shmwrite($id, "written", 0, 7); kill USR1 => getppid; exit 0 }
waitpid $pid, 0;
shmread($id, my $text, 0, 7); shmctl($id, IPC_RMID, 0);
open my $f, ">", "f"; flock($f, LOCK_EX) or die "flock: $!";
print "$text\n";'
