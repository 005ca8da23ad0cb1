"""Answers SQL with Spark in one process: a line of JSON for each line of JSON. It runs in the environment of scripts/lab/engines.

It imports nothing of this project, which is not installed there. The options of Java and Spark halve the time of a start: what is
asked is small, and compiling it well takes longer than answering it.
"""

import json
import os
import sys
from decimal import Decimal
from importlib import import_module
from typing import Any

OPTIONS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.sql.shuffle.partitions": "2",
}
# For small data alone: one core does not wait for the other, and nothing is compiled.
SMALL = {
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}


def main() -> None:
    """`spark_child.py FOLDER`. SPARK_MEMORY is the most that Java keeps, SPARK_SMALL says that the data is small."""
    folder, answers = sys.argv[1], os.fdopen(os.dup(1), "w")
    # What Java and its gateway print must not come between.
    os.dup2(2, 1)
    java = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC" if os.environ.get("SPARK_SMALL") else "-XX:+UseSerialGC"
    memory = os.environ.get("SPARK_MEMORY", "512m")
    os.environ["PYSPARK_SUBMIT_ARGS"] = (
        f"--driver-memory {memory} --driver-java-options '{java} -Dderby.system.home={folder}' pyspark-shell"
    )
    os.environ["SPARK_LOCAL_DIRS"] = folder
    spark = session(
        {**OPTIONS, **(SMALL if os.environ.get("SPARK_SMALL") else {}), "spark.sql.warehouse.dir": f"{folder}/warehouse"}
    )
    for line in sys.stdin:
        try:
            answer = answered(spark, json.loads(line))
        except Exception as cause:  # noqa: BLE001  # what went wrong is the answer
            answer = {"error": str(cause)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    spark.stop()


def session(options: dict[str, str]) -> Any:
    """A session on this machine alone."""
    builder = import_module("pyspark.sql").SparkSession.builder.master("local[2]")
    for name, value in options.items():
        builder = builder.config(name, value)
    made = builder.getOrCreate()
    made.sparkContext.setLogLevel("ERROR")
    return made


def answered(spark: Any, request: dict[str, str]) -> dict[str, Any]:
    """What a request gives."""
    if "python" in request:
        exec(request["python"], {"spark": spark})  # the pages' own lines
        return {}
    return {"rows": [[plain(value) for value in row] for row in spark.sql(request["sql"]).collect()]}


def plain(value: Any) -> Any:
    """A wide whole number is a number."""
    return int(value) if isinstance(value, Decimal) and value == int(value) else value


if __name__ == "__main__":
    main()
