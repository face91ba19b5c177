"""A program in Luigi's spelling, which the tests give to Luigi and to Levada."""

GRAPH = '''
import os, time, datetime, enum
import luigi

HERE = os.path.dirname(os.path.abspath(__file__))

def note(word):
    fd = os.open(os.path.join(HERE, "ran.log"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, f"{word} {os.getpid()} {'levada' if hasattr(luigi, '_HOMES') else 'luigi'}\\n".encode())
    os.close(fd)

class Noted(luigi.Task):
    """Notes that it ran; its output appears at its end."""
    def name(self):
        return type(self).__name__.lower()
    def output(self):
        return luigi.LocalTarget(os.path.join(HERE, "out", self.name() + ".txt"))
    def work(self):
        pass
    def run(self):
        note(self.name())
        self.work()
        with self.output().open("w") as out:
            out.write("done")

class Leaf(Noted):
    number = luigi.IntParameter()
    pause = luigi.FloatParameter(default=0.0, significant=False)
    def name(self):
        return f"leaf-{self.number}"
    def work(self):
        time.sleep(self.pause)

class Middle(Noted):
    group = luigi.IntParameter()
    width = luigi.IntParameter()
    pause = luigi.FloatParameter(default=0.0, significant=False)
    def name(self):
        return f"middle-{self.group}"
    def requires(self):
        return [Leaf(number=self.group * self.width + one, pause=self.pause) for one in range(self.width)]
    def work(self):
        assert all(target.exists() for target in self.input())

class Top(Noted):
    groups = luigi.IntParameter(default=10)
    width = luigi.IntParameter(default=9)
    pause = luigi.FloatParameter(default=0.0, significant=False)
    def requires(self):
        return [Middle(group=one, width=self.width, pause=self.pause) for one in range(self.groups)]

class Slow(Noted):
    """Waits until a file says that it may end."""
    label = luigi.Parameter()
    def name(self):
        return f"slow-{self.label}"
    def work(self):
        while not os.path.exists(os.path.join(HERE, "go")):
            time.sleep(0.02)

class AfterSlow(Noted):
    def requires(self):
        return Slow(label="one")

class Flaky(Noted):
    """Fails the first time."""
    def work(self):
        if not os.path.exists(os.path.join(HERE, "tried")):
            open(os.path.join(HERE, "tried"), "w").close()
            raise ValueError("no rows yet")

class Broken(Noted):
    retry_count = 1
    def work(self):
        raise KeyError("never")

class Behind(Noted):
    def requires(self):
        return [Broken(), Leaf(number=1)]

class Asks(Noted):
    """Finds out what it needs when it runs."""
    def work(self):
        pass
    def run(self):
        note("asks")
        yield Leaf(number=100)
        yield [Leaf(number=101), Leaf(number=102)]
        with self.output().open("w") as out:
            out.write("done")

class Drop(luigi.ExternalTask):
    def output(self):
        return luigi.LocalTarget(os.path.join(HERE, "drop.txt"))

class Fed(Noted):
    def requires(self):
        return [Drop(), Leaf(number=1)]

class Urgent(Noted):
    number = luigi.IntParameter()
    priority = property(lambda self: self.number)
    def name(self):
        return f"urgent-{self.number}"

class ByPriority(luigi.WrapperTask):
    def requires(self):
        return [Urgent(number=one) for one in (3, 1, 4, 2, 5)]

class Licensed(Noted):
    number = luigi.IntParameter()
    resources = {"licence": 1}
    def name(self):
        return f"licensed-{self.number}"
    def work(self):
        place = os.path.join(HERE, "licence")
        os.mkdir(place)
        time.sleep(0.03)
        os.rmdir(place)

class AllLicensed(luigi.WrapperTask):
    def requires(self):
        return [Licensed(number=one) for one in range(8)]

class Many(luigi.Task):
    day = luigi.DateParameter(batch_method=max)
    region = luigi.Parameter(default="eu")
    def output(self):
        return luigi.LocalTarget(os.path.join(HERE, "out", f"many-{self.day}.txt"))
    def run(self):
        note(f"many-{self.day}")
        for back in range(5):
            place = os.path.join(HERE, "out", f"many-{self.day - datetime.timedelta(back)}.txt")
            with luigi.LocalTarget(place).open("w") as out:
                out.write("done")

class AllMany(luigi.WrapperTask):
    def requires(self):
        return [Many(day=datetime.date(2024, 3, 5) - datetime.timedelta(back)) for back in range(5)]

class Silent(Noted):
    """Says how far it has come."""
    def work(self):
        self.set_status_message("half of it")
        self.set_progress_percentage(50)

if __name__ == "__main__":
    luigi.run()
'''
