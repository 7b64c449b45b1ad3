# Waits until a command succeeds.
await() {
    n=0
    until "$@" >/dev/null 2>&1; do
        n=$((n + 1))
        if [ $n -gt 600 ]; then echo "never: $*"; return 1; fi
        sleep 0.1
    done
}
# Waits until a field of an object's inspection has a value.
until_is() {
    await eval "[ \"\$(docker inspect -f '$2' $1)\" = '$3' ]"
}
